"""The teacher's part of the loss: closed forms and identities."""

import torch
from torch import nn
from torch.nn import functional

from trials.training.distillation import Distillation, soft_cross_entropy


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(5, 4, generator=generator, dtype=torch.float64)


def test_it_is_the_divergence_times_the_squared_temperature():
    student, teacher = batch(0), batch(1)
    p, q = (functional.softmax(logits / 3, dim=1) for logits in (teacher, student))
    expected = 9 * (p * (p / q).log()).sum(1).mean()
    torch.testing.assert_close(soft_cross_entropy(student, teacher, 3.0), expected)
    assert float(soft_cross_entropy(teacher, teacher + 7, 3.0)) < 1e-12  # logits that differ by a constant agree


def test_a_high_temperature_matches_logits():
    """The limit of section 2 of the paper: the gradient is that of half the mean square of centered logits."""
    student, teacher = batch(0).requires_grad_(), batch(1)
    (gradient,) = torch.autograd.grad(soft_cross_entropy(student, teacher, 1e6), student)
    apart = (student - teacher).detach()
    torch.testing.assert_close(gradient, (apart - apart.mean(1, keepdim=True)) / (4 * 5), rtol=1e-3, atol=1e-6)


def test_labels_have_the_rest_of_the_weight_and_the_teacher_is_not_trained():
    teacher = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)).double()
    inputs, loss = batch(2), torch.tensor(2.0, dtype=torch.float64)
    student = batch(3).requires_grad_()
    taught = soft_cross_entropy(student, teacher[0](inputs).detach(), 2.0)
    total = Distillation(teacher, 0.25, 2.0)(loss, inputs, student)
    torch.testing.assert_close(total, 0.75 * loss + 0.25 * taught)
    total.backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    torch.testing.assert_close(Distillation(teacher, 0.0, 2.0)(loss, inputs, student), loss)

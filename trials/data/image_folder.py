"""Image folders: ``train/CLASS/*.png`` beside ``test/`` or ``val/`` of the same form, or just ``CLASS/*.png``."""

from __future__ import annotations

from pathlib import Path

from snas_nni.errors import SettingError
from trials.data.image_cache import decoded_images
from trials.data.image_files import image_files
from trials.data.image_listing import list_images
from trials.data.image_modes import conversions_in_words
from trials.data.splits import TEST_FRACTION, held_out_splits
from trials.data.types import ClassificationData, LabelledTensors
from trials.progress import Progress
from trials.settings.search import DataSettings

__all__ = ["load_image_folder"]


def load_image_folder(settings: DataSettings, progress: Progress) -> ClassificationData:
    """Load a folder of images as uint8 RGB, shape ``(3, H, W)``.

    The source ``folder`` decodes all of them once and reads them from the cache later; ``files`` decodes the images
    of a batch when it is needed.

    With both ``val/`` and ``test/``, ``val/`` is the validation split. With one of them, it is the test split
    and validation is held out from ``train/``. With neither, and in a folder of class folders without ``train/``, test
    images are held out too, always the same ones.

    Raises:
        SettingError: a folder is missing, a class folder is empty, classes differ between the splits, or an
            image cannot be read.
    """
    if settings.path is None:
        raise SettingError(f"data.path: the source {settings.source!r} needs the folder that holds the class folders")
    root = Path(settings.path).expanduser().resolve()
    if not root.is_dir():
        raise SettingError(f"data.path: there is no folder {str(root)!r}")
    present = [name for name in ("train", "test", "val") if (root / name).is_dir()]
    if present and "train" not in present:
        raise SettingError(
            f"data.path: {str(root)!r} must hold train/ and perhaps test/ and val/, or class folders; found {present}"
        )
    train_folder = root / "train" if present else root
    test_name = next((name for name in ("test", "val") if name in present), None)
    class_names = _class_names(train_folder)
    if len(class_names) < 2:
        raise SettingError(f"data.path: {str(train_folder)!r} has one class folder only, {class_names[0]!r}")
    if test_name is not None and _class_names(root / test_name) != class_names:
        missing = set(class_names) ^ set(_class_names(root / test_name))
        raise SettingError(f"data.path: train/ and {test_name}/ differ in the classes {sorted(missing)}")

    def read(name: str) -> LabelledTensors:
        files = list_images(root / name, class_names)
        for line in conversions_in_words(files):
            progress.say(f"{name or 'images'}: {line}")
        return (
            image_files(files, settings)
            if settings.source == "files"
            else decoded_images(files, name or "images", settings, progress)
        )

    train = read("train" if present else "")
    test = read(test_name) if test_name is not None else None
    if test is None:
        progress.say(
            f"there is no test/ folder: {TEST_FRACTION:.0%} of each class are held out for testing, always the same"
        )
    elif train.inputs.shape[1:] != test.inputs.shape[1:]:
        raise SettingError(
            f"data.image_size: train images are {tuple(train.inputs.shape[2:])}, {test_name} images are "
            f"{tuple(test.inputs.shape[2:])} (height, width); give one size for both"
        )
    validation = read("val") if len(present) == 3 else None
    return held_out_splits(train, test, class_names, settings, validation)


def _class_names(folder: Path) -> tuple[str, ...]:
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != ".")
    if not names:
        raise SettingError(f"data.path: no class folders in {str(folder)!r}")
    return tuple(names)

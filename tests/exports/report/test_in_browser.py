"""The page in a real browser, where one is installed: it draws, in both modes, at any width, without an error."""

import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from matplotlib import image
from report_runs import EVIDENCE, architecture, trial, write_experiment, write_run, write_sweep

from exports.network import Network, Node, write_network
from exports.report import write_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DARK, LIGHT = 0, 1

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome is installed"),
]


def browse(page, tmp_path, *options, width=1100, height=900, mode=LIGHT):
    """Run the browser once and return its (output, errors)."""
    profile = tmp_path / f"profile{len(list(tmp_path.iterdir()))}"
    command = [
        *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
        *(f"--user-data-dir={profile}", "--enable-logging=stderr", "--hide-scrollbars"),
        *(f"--blink-settings=preferredColorScheme={mode}", f"--window-size={width},{height}", *options),
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    shutil.rmtree(profile, ignore_errors=True)
    return done.stdout, done.stderr


def console(errors):
    return [line for line in errors.splitlines() if "CONSOLE" in line]


def with_script(page, script):
    """Copy the page with one more script, which the page's own policy would not let run."""
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    copy = page.with_name("scripted.html")
    copy.write_text(html.replace("</body>", f"<script>{script}</script></body>"))
    return copy


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    network = Network(
        (
            Node("input", "input"),
            Node("repeat", "a.very.long.path.of.blocks", "1 of up to 2", ("depth",)),
            Node(
                "choice", "a.very.long.path.of.blocks.0", "Conv2d 3×3, 1 → 1024 · BatchNorm2d", ("op",), ((0, True),), 1
            ),
            Node("output", "output", "", (), ((2, True), (0, False))),
        )
    )
    chosen = {"depth": 1, "op": "a_long_name_of_an_operation"}
    shown = {label: {str(value): 0.5, "other": 0.5} for label, value in chosen.items()}
    record = architecture(cells=None, sample=chosen, probabilities=shown, entropy={})
    run = write_run(folder / "run", replace(record, cells={}), evidence=EVIDENCE)
    write_network(run, network)
    trials = [trial(0, 0.9, 3000, run), trial(1, 0.7, 10000, run), trial(2, 0.6, 2000)]
    return {
        "run": write_report(run),
        "experiment": write_report(write_experiment(folder / "experiment", trials)),
        "sweep": write_report(write_sweep(folder / "sweep")),
    }


@pytest.mark.parametrize("name", ["run", "experiment"])
def test_it_is_drawn_in_light_and_dark_without_an_error(pages, tmp_path, name):
    means = {}
    for mode in (LIGHT, DARK):
        picture = tmp_path / f"{mode}.png"
        _, errors = browse(pages[name], tmp_path, f"--screenshot={picture}", mode=mode)
        assert console(errors) == []
        pixels = image.imread(picture)[..., :3]
        assert pixels.std() > 0.03  # a blank page has no spread
        means[mode] = pixels.mean()
    assert means[LIGHT] > 0.8
    assert means[DARK] < 0.25


@pytest.mark.parametrize("name", ["run", "experiment", "sweep"])
@pytest.mark.parametrize("width", [375, 1280])
def test_the_page_never_scrolls_sideways(pages, tmp_path, name, width):
    script = (
        "document.querySelectorAll('details').forEach((each) => { each.open = true; });"
        "const root = document.documentElement;"
        "parent.postMessage(root.scrollWidth + ' of ' + root.clientWidth, '*');"
    )
    inside = with_script(pages[name], script)
    # In a frame, because a browser's own window cannot be as narrow as a phone.
    outside = inside.with_name("frame.html")
    outside.write_text(
        "<script>onmessage = (message) => { document.documentElement.dataset.measured = message.data; };</script>"
        f'<iframe src="{inside.name}" width="{width}" height="800" style="border: 0"></iframe>'
    )
    output, _ = browse(outside, tmp_path, "--dump-dom", "--virtual-time-budget=5000")
    assert f'data-measured="{width} of {width}"' in output


def test_values_stand_under_the_pointer(pages, tmp_path):
    script = (
        "const chart = document.querySelector('svg.chart path[data-values]').ownerSVGElement;"
        "const box = chart.getBoundingClientRect();"
        "const at = (share) => chart.dispatchEvent(new PointerEvent('pointermove', {"
        "  clientX: box.left + share * box.width, clientY: box.top + 20 }));"
        "const note = () => chart.parentElement.querySelector('.under-pointer');"
        "at(0.99); const last = note().textContent; at(0.15); const first = note().textContent;"
        "chart.dispatchEvent(new PointerEvent('pointerleave'));"
        "document.documentElement.dataset.shown = `${last}; ${first}; ${note().hidden}`;"
    )
    output, _ = browse(with_script(pages["run"], script), tmp_path, "--dump-dom")
    last = "epoch 4: child 75 %, sampled networks 70 %, training batches 65 %"
    first = "epoch 1: child 30 %, sampled networks 25 %, training batches 20 %"
    assert f'data-shown="{last}; {first}; true"' in output


def test_a_click_on_a_head_sorts_the_trials_by_number_and_back(pages, tmp_path):
    script = (
        "const table = document.querySelector('table.sortable');"
        "const size = table.tHead.rows[0].cells[4].querySelector('button');"
        "const order = () => [...table.tBodies[0].rows].map((row) => row.cells[4].textContent).join(' ');"
        "size.click(); const up = order(); size.click();"
        "document.documentElement.dataset.order = up + '; ' + order();"
    )
    output, _ = browse(with_script(pages["experiment"], script), tmp_path, "--dump-dom")
    assert 'data-order="2,000 3,000 10,000; 10,000 3,000 2,000"' in output
    assert 'aria-sort="descending"' in output


def test_a_script_that_is_not_the_pages_own_does_not_run(pages, tmp_path):
    # Also the proof that errors are seen by these tests at all.
    page = pages["run"].with_name("attacked.html")
    attack = "<script>document.documentElement.dataset.attacked = 1</script></body>"
    page.write_text(pages["run"].read_text().replace("</body>", attack))
    output, errors = browse(page, tmp_path, "--dump-dom")
    assert "data-attacked" not in output
    assert console(errors)

"""The training engine: exact resume, crashes, schedules, several processes."""

import itertools
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from swinir_lite import load_model
from swinir_lite.__main__ import main
from swinir_lite.errors import InputError
from swinir_lite.measuring.evaluation import evaluate
from swinir_lite.training import engine, setup
from swinir_lite.training.config import PRESETS, TrainConfig, as_json, load_config
from swinir_lite.training.engine import Trainer
from swinir_lite.training.log import plot_curves, read_log
from swinir_lite.training.setup import choose_precision

TINY = {
    "variant": "lightweight_x2",
    "architecture": {"dim": 8, "depths": [2], "num_heads": [2]},
    "steps": 6, "patch": 8, "batch": 2, "lr": 0.002, "warmup": 2, "device": "cpu",
    "validate_every": 4, "checkpoint_every": 2, "log_every": 1,
}  # fmt: skip
RESTORATION = {"window_size": 7, "scale": 1, "upsampler": "none", "in_channels": 1}
TASKS = {
    "super-resolution": {},
    "muon": {"optimizer": "muon"},
    "residual CNN": {
        "variant": "residual_cnn",
        "architecture": {"dim": 8, "num_blocks": 1, "scale": 2},
    },
    "denoising": {
        "architecture": {**TINY["architecture"], **RESTORATION},
        "degradation": {"name": "gaussian_noise", "sigma": [0, 50]},
        "losses": {"charbonnier": 1.0},
    },
    "GAN": {
        "losses": {"l1": 1.0, "adversarial": {"weight": 0.1, "dim": 4}},
        "patch": 16,
    },
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for i in range(3):
        corners = np.random.default_rng(i).integers(0, 256, (3, 3, 3), np.uint8)
        photo = Image.fromarray(corners).resize((64, 48), Image.Resampling.BICUBIC)
        photo.save(folder / f"photo{i}.png")
    return folder


@pytest.fixture
def config(photos, tmp_path):
    """config(**changes): a run that takes a second on a CPU."""
    validation = {"validation": {"path": str(photos)}}
    paths = {"data": str(photos), "cache": str(tmp_path / "cache")}

    def make(**changes):
        values = {**TINY, **paths, **validation, **changes}
        if "degradation" in changes:
            values["validation"] = {**values["validation"], "sigma": 25}
        return load_config(values)

    return make


def train(config, folder, **options):
    trainer = Trainer(config, folder, **options)
    trainer.run()
    return trainer


def read_state(folder):
    return torch.load(folder / "state.pt", weights_only=True)


def assert_same(a, b, path="state"):
    """Bit by bit, wherever tensors lie in nested dicts and lists."""
    assert type(a) is type(b), path
    if torch.is_tensor(a):
        assert torch.equal(a, b), path
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            if key not in ("seconds", "wall_seconds"):
                assert_same(a[key], b[key], f"{path}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), path
        for i, pair in enumerate(zip(a, b)):
            assert_same(*pair, f"{path}[{i}]")
    else:
        assert a == b, path


@pytest.mark.parametrize("task", TASKS)
def test_a_resumed_run_ends_as_one_that_was_not_stopped(config, tmp_path, task):
    config = config(**TASKS[task])
    train(config, tmp_path / "whole")
    assert not Trainer(config, tmp_path / "legs").run(leg_minutes=0)  # one step
    torch.rand(7)  # another process has another global generator
    trainer = train(config, tmp_path / "legs", resume=True)
    assert trainer.step == 6
    assert_same(read_state(tmp_path / "whole"), read_state(tmp_path / "legs"))


KILL = """
import json, os, signal, sys
import torch.utils.tensorboard  # once, before the processes part
from swinir_lite.training.engine import Trainer
from swinir_lite.training.config import load_config

config, out = load_config(json.loads(sys.argv[1])), sys.argv[2]

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def run(folder, kill_at=None, while_saving=False):
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    trainer = Trainer(config, folder, resume=True)
    step = trainer.train_step
    def train_step():
        if trainer.step == kill_at:
            if not while_saving:
                kill()
            os.fsync = lambda file: kill()
        step()
    trainer.train_step = train_step
    trainer.run()
    os._exit(0)

assert run(out + "/whole") == 0
for kill_at in range(6):
    folder = f"{out}/killed{kill_at}"
    assert run(folder, kill_at) == signal.SIGKILL
    assert run(folder) == 0
folder = out + "/saving"
assert run(folder, 3, while_saving=True) == signal.SIGKILL
partials = [name for name in os.listdir(folder) if name.endswith(".partial")]
assert len(partials) == 1
assert run(folder) == 0
assert not os.path.exists(f"{folder}/{partials[0]}")
"""


def test_killed_at_any_step_and_resumed_bit_identical(config, tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    text = as_json(config(validation={}, optimizer="muon"))  # and Adam for the edges
    command = [sys.executable, "-c", KILL, text, str(tmp_path)]
    subprocess.run(command, check=True, env=environment, timeout=240)
    whole = read_state(tmp_path / "whole")
    assert whole["step"] == 6
    log = read_log(tmp_path / "whole/log.jsonl")
    for folder in [*tmp_path.glob("killed*"), tmp_path / "saving"]:
        assert_same(whole, read_state(folder), folder.name)
        resumed = read_log(folder / "log.jsonl")
        for event in ("train", "validation"):
            records = [
                [{k: r[k] for k in ("step", "loss") if k in r} for r in records
                 if r["event"] == event]
                for records in (log, resumed)
            ]  # fmt: skip
            assert records[0] == records[1]


def test_training_lowers_the_loss_and_the_average_lags(config, tmp_path):
    trainer = train(config(steps=60, log_every=2, lr=0.005), tmp_path / "run")
    losses = [
        r["loss"] for r in read_log(tmp_path / "run/log.jsonl") if r["event"] == "train"
    ]
    assert len(losses) == 30
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    state = read_state(tmp_path / "run")
    assert any(not torch.equal(state["ema"][k], v) for k, v in state["model"].items())
    model = load_model(tmp_path / "run")
    assert torch.equal(model.conv_first.weight, trainer.ema.conv_first.weight)


def test_the_average_follows_its_formula(config, tmp_path):
    trainer = Trainer(config(ema=0.2), tmp_path / "run")
    expected = trainer.model.conv_first.weight.detach().clone()
    for step in range(4):
        trainer.train_step()
        decay = min(0.2, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * trainer.model.conv_first.weight
    torch.testing.assert_close(trainer.ema.conv_first.weight, expected)


def test_gradients_are_clipped_and_their_norm_is_logged(config, tmp_path):
    norms = []
    for clip in (0, 1e-3):
        trainer = Trainer(config(clip=clip), tmp_path / str(clip))
        trainer.train_step()
        norm = torch.stack([p.grad.norm() for p in trainer.params]).norm()
        norms.append((float(norm), float(trainer.history["grad_norm"][0])))
    (free, logged), (clipped, logged_too) = norms
    assert math.isclose(free, logged, rel_tol=1e-5)
    assert math.isclose(free, logged_too, rel_tol=1e-5)
    assert math.isclose(clipped, 1e-3, rel_tol=1e-3)


def test_a_loss_that_is_not_finite_stops_and_names_the_batch(config, tmp_path):
    trainer = Trainer(config(log_every=2), tmp_path / "run")
    forward = trainer.criterion.forward

    def spoil(restored, target):
        terms = forward(restored, target)
        return {k: v * (math.nan if trainer.step == 3 else 1) for k, v in terms.items()}

    trainer.criterion.forward = spoil
    with pytest.raises(FloatingPointError, match="step 3: loss nan") as info:
        trainer.run()
    batch = trainer.sampler.describe(3)
    assert all(name in str(info.value) for name in batch)
    assert read_state(tmp_path / "run")["step"] == 2  # the last that was sound
    last = read_log(tmp_path / "run/log.jsonl")[-1]
    assert last["event"] == "non-finite"
    assert last["batch"] == batch


def test_a_loss_that_diverges_before_the_first_checkpoint_names_none(config, tmp_path):
    trainer = Trainer(config(lr=1e30, validation={}, checkpoint_every=4), tmp_path)
    with pytest.raises(FloatingPointError, match="There is no checkpoint yet") as info:
        trainer.run()
    assert "state.pt" not in str(info.value)


def test_minutes_fit_the_schedule_to_the_time(config, tmp_path, monkeypatch):
    clock = itertools.count(step=0.05)  # every look at it takes a while
    fake = SimpleNamespace(perf_counter=lambda: next(clock), strftime=time.strftime)
    monkeypatch.setattr("swinir_lite.training.engine.time", fake)
    timed = config(steps=0, minutes=0.01, validation={}, lr=0.01)
    trainer = Trainer(timed, tmp_path / "run")
    assert trainer.run()
    last = read_log(tmp_path / "run/log.jsonl")[-1]
    assert last["lr"] < 0.25 * 0.01  # the cosine has come near its end
    assert trainer.seconds > 0.5


def test_another_run_is_neither_overwritten_nor_continued(config, tmp_path):
    train(config(steps=2), tmp_path / "run")
    with pytest.raises(FileExistsError, match="holds a run: resume it, or choose"):
        Trainer(config(steps=2), tmp_path / "run")
    with pytest.raises(ValueError, match=r"lr: 0\.002 -> 0\.1"):
        Trainer(config(steps=2, lr=0.1), tmp_path / "run", resume=True)


def test_resuming_a_finished_run_writes_nothing(config, tmp_path):
    run = tmp_path / "run"
    train(config(steps=2), run)
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    assert Trainer(config(steps=2), run, resume=True).run()
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_finished_run_goes_on_with_more_steps(config, tmp_path):
    run = tmp_path / "run"
    train(config(steps=2), run)
    longer = config(steps=5)
    trainer = train(longer, run, resume=True)
    assert read_state(run)["step"] == 5
    rates = [r["lr"] for r in read_log(run / "log.jsonl") if r["event"] == "train"]
    assert rates[2:] == [longer.lr_at(step, 5) for step in (2, 3, 4)]
    assert trainer.total == 5
    assert load_config(run / "config.json").steps == 5
    with pytest.raises(InputError, match="steps: 5 -> 4"):
        Trainer(config(steps=4), run, resume=True)
    stopped = tmp_path / "stopped"
    Trainer(config(steps=5), stopped).run(leg_minutes=0)
    with pytest.raises(InputError, match="steps: 5 -> 9"):  # its end was another
        Trainer(config(steps=9), stopped, resume=True)


def test_a_batch_that_memory_cannot_hold_is_named(config, tmp_path, monkeypatch):
    trainer = Trainer(config(validation={}), tmp_path / "run")
    trainer.sampler.size = 10**13  # patches: hundreds of terabytes
    needed = "the memory of cpu cannot hold a batch of 2 patches of 8x8: make batch"
    with pytest.raises(InputError, match=needed):
        trainer.run()
    for error in (MemoryError(), torch.OutOfMemoryError("CUDA out of memory")):

        def fail(error=error):
            raise error

        monkeypatch.setattr(trainer, "train_step", fail)
        with pytest.raises(InputError, match=needed):
            trainer.run()


def test_validation_takes_the_fast_path(config, tmp_path, monkeypatch):
    trainer = train(config(validate_every=6), tmp_path / "run")
    last = read_log(tmp_path / "run/log.jsonl")[-1]
    expected = evaluate(trainer.ema, trainer.test_set, 2)
    assert last["psnr"] == pytest.approx(expected["psnr"], abs=1e-4)
    assert last["ssim"] == pytest.approx(expected["ssim"], abs=1e-5)
    slow = type(trainer.ema)
    monkeypatch.setattr(slow, "forward", lambda *_: pytest.fail("the slow path"))
    trainer.open_log()
    trainer.validate()


def test_validation_notices_weights_that_were_written_to_uncounted(
    config, tmp_path, monkeypatch
):
    """As on a GPU, where PyTorch does not count what is written to lists of tensors."""
    lerp, versions = torch._foreach_lerp_, []

    def uncounted(weights, *others):
        with ExitStack() as kept:  # one by one: PyTorch 2.4 takes no more
            for weight in weights:
                keeping = torch.autograd._unsafe_preserve_version_counter(weight)
                kept.enter_context(keeping)
            lerp(weights, *others)

    def note(trainer):
        versions.append([weight._version for weight in trainer.ema.parameters()])

    monkeypatch.setattr(torch, "_foreach_lerp_", uncounted)
    monkeypatch.setattr(Trainer, "validate", note)
    train(config(), tmp_path / "run")
    before, after = versions
    assert all(new > old for old, new in zip(before, after, strict=True))


def test_a_run_resumes_on_the_same_photographs_wherever_they_lie(
    config, photos, tmp_path
):
    run, moved = tmp_path / "run", tmp_path / "moved"
    train(config(steps=2, validation={}), run)
    shutil.copytree(photos, moved)
    there = config(steps=2, validation={}, data=str(moved))
    Trainer(there, run, resume=True)
    photo = moved / "photo1.png"
    Image.open(photo).crop((0, 0, 48, 48)).save(photo)
    with pytest.raises(ValueError, match=r"photographs: 3, \w+ -> 3, "):
        Trainer(there, run, resume=True)
    photo.unlink()
    with pytest.raises(ValueError, match=r"photographs: 3, \w+ -> 2, "):
        Trainer(there, run, resume=True)


def test_a_damaged_state_is_named(config, tmp_path):
    train(config(steps=2, validation={}), tmp_path / "run")
    state = tmp_path / "run/state.pt"
    whole = state.read_bytes()
    torch.save({"weight": torch.zeros(2)}, state)
    for content in (state.read_bytes(), whole[:1000], whole[:-1000], b""):
        state.write_bytes(content)
        with pytest.raises(ValueError, match=r"state\.pt is damaged, or no run's"):
            Trainer(config(steps=2, validation={}), tmp_path / "run", resume=True)


def test_a_crash_while_the_log_is_cut_costs_no_line(config, tmp_path, monkeypatch):
    legs = config(validation={}, checkpoint_every=2)
    Trainer(legs, tmp_path / "run").run(leg_minutes=0)
    log = tmp_path / "run/log.jsonl"
    with log.open("a") as file:  # what came after the checkpoint
        file.write('{"step": 2, "event": "train"}\n')
    text = log.read_text()
    resumed = Trainer(legs, tmp_path / "run", resume=True)

    replace = os.replace

    def crash(source, target):
        if target == log:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", crash)
        with pytest.raises(KeyboardInterrupt):
            resumed.run()
    assert log.read_text() == text
    resumed.run()
    steps = [r["step"] for r in read_log(log) if r["event"] == "train"]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_rates_count_the_steps_that_were_timed(config, tmp_path, monkeypatch):
    now = [0.0]
    fake = SimpleNamespace(perf_counter=lambda: now[0], strftime=time.strftime)
    monkeypatch.setattr("swinir_lite.training.engine.time", fake)
    config = config(log_every=3, validate_every=3, checkpoint_every=3, validation={})
    trainer = Trainer(config, tmp_path / "run")
    step, save = trainer.train_step, trainer.save

    def slow_step():
        now[0] += 100 if trainer.step == 0 else 2  # compiles, in the first
        step()

    def slow_save():
        now[0] += 50
        save()

    trainer.train_step, trainer.save = slow_step, slow_save
    trainer.run()
    log = [r for r in read_log(tmp_path / "run/log.jsonl") if r["event"] == "train"]
    assert [r["images_per_second"] for r in log] == [1, 1]  # batch 2 in 2 seconds
    assert [r["seconds"] for r in log] == [4, 10]
    assert [r["wall_seconds"] for r in log] == [104, 160]
    now[0] += 1000  # nothing runs
    resumed = Trainer(config, tmp_path / "run", resume=True)
    assert now[0] - resumed.began == 210


def test_tensorboard_and_the_progress_bar_show_the_run(config, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer = train(config(), tmp_path / "run")
    board = EventAccumulator(str(tmp_path / "run"))
    board.Reload()
    log = read_log(tmp_path / "run/log.jsonl")
    for tag in ("train/loss", "train/lr", "validation/psnr"):
        event, key = tag.split("/")
        shown = [(e.step, e.value) for e in board.Scalars(tag)]
        logged = [(r["step"], r[key]) for r in log if r["event"] == event]
        assert shown == [pytest.approx(pair) for pair in logged]
    bar = trainer.log.bar
    assert (bar.n, bar.total) == (6, 6)
    shown = dict(part.split("=") for part in bar.postfix.split(", "))
    last = [r for r in log if r["event"] == "train"][-1]
    assert float(shown["loss"]) == pytest.approx(last["loss"], rel=0.01)
    assert int(shown["images_per_second"]) == int(last["images_per_second"])


def test_the_bar_and_the_log_round_a_rate_alike(config, tmp_path, monkeypatch):
    now = [0.0]
    fake = SimpleNamespace(perf_counter=lambda: now[0], strftime=time.strftime)
    monkeypatch.setattr("swinir_lite.training.engine.time", fake)
    trainer = Trainer(config(steps=2, log_every=2, validation={}), tmp_path)
    step = trainer.train_step

    def step_in_time():
        now[0] += 2 / 278.96  # seconds, for a batch of 2
        step()

    trainer.train_step = step_in_time
    trainer.run()
    assert read_log(tmp_path / "log.jsonl")[-1]["images_per_second"] == 279.0
    assert "images_per_second=279" in trainer.log.bar.postfix


def test_initial_weights_fit_all_but_the_head(config, tmp_path, monkeypatch):
    from swinir_lite import save_model

    source = train(config(steps=1), tmp_path / "x2")
    path = str(tmp_path / "x2.safetensors")
    save_model(source.ema, path)
    wider = {**TINY["architecture"], "scale": 4}
    for given in (path, str(tmp_path / "x2")):  # a file, and a run's folder
        trainer = Trainer(
            config(architecture=wider, initial_weights=given, patch=4), tmp_path / "x4"
        )
        first = trainer.model.conv_first.weight
        assert torch.equal(first, source.ema.conv_first.weight)
    wider["dim"] = 12
    monkeypatch.setattr(
        "swinir_lite.training.engine.make_sampler", lambda *_: pytest.fail("decoded")
    )
    with pytest.raises(ValueError, match=r"does not fit the model: blocks\.0\.conv"):
        Trainer(config(architecture=wider, initial_weights=path), tmp_path / "no")


TWO = """
import sys

import torch
from swinir_lite.__main__ import main
from swinir_lite.training.config import load_config
from swinir_lite.training.engine import Trainer

config = load_config(f"{sys.argv[1]}/two.json")
frozen = config.make_model()
frozen.blocks[0].requires_grad_(False)
before = frozen.blocks[0].state_dict()["conv.weight"].clone()
trainer = Trainer(config, f"{sys.argv[1]}/frozen", model=frozen)
trainer.run()
assert torch.equal(before, trainer.model.blocks[0].conv.weight)

for name in ("two", "bursting"):
    try:
        main(["train", "--config", f"{sys.argv[1]}/{name}.json",
              "--out", f"{sys.argv[1]}/{name}"])
    except SystemExit as error:
        print(error)
"""


def test_two_processes_train_as_one_with_both_their_patches(config, tmp_path):
    two = config(batch=4, steps=3, checkpoint_every=3)
    (tmp_path / "two.json").write_text(as_json(two))
    bursting = config(batch=4, steps=3, validation={}, lr=1e30)
    (tmp_path / "bursting.json").write_text(as_json(bursting))
    (tmp_path / "both.py").write_text(TWO)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone",
               "--nproc-per-node", "2", str(tmp_path / "both.py"),
               str(tmp_path)]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=environment, timeout=240)

    one = Trainer(two, tmp_path / "one")
    one.sampler.size = 2  # its share of the batch, as the first of two processes
    names = []

    def both(step):
        halves = []
        for one.sampler.rank in (0, 1):
            halves.append(batch(step))
            names.append(one.sampler.describe(step))
        return tuple(torch.cat(pair) for pair in zip(*halves))

    batch, one.sampler.batch = one.sampler.batch, both
    one.run()
    weights = read_state(tmp_path / "two")["model"]
    for key, value in one.model.state_dict().items():
        torch.testing.assert_close(weights[key], value, rtol=1e-4, atol=2e-5)

    logs = [read_log(tmp_path / name / "log.jsonl") for name in ("one", "two")]
    assert [log[0]["processes"] for log in logs] == [1, 2]
    losses = [[r["loss"] for r in log if r["event"] == "train"] for log in logs]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)  # of all patches
    alone, shared = (next(r for r in log if r["event"] == "validation") for log in logs)
    assert list(shared["images"]) == list(alone["images"])  # each process had its share
    assert shared["psnr"] == pytest.approx(alone["psnr"], abs=1e-3)
    last = read_log(tmp_path / "bursting/log.jsonl")[-1]
    assert (last["event"], last["step"]) == ("non-finite", 1)
    assert last["batch"] == names[2] + names[3]  # step 1 of both processes
    frozen = read_log(tmp_path / "frozen/log.jsonl")[-1]
    assert (frozen["step"], frozen["event"]) == (3, "validation")
    with pytest.raises(ValueError, match="processes: 2 -> 1"):
        Trainer(two, tmp_path / "two", resume=True)


@pytest.mark.parametrize(
    ("quickest", "auto", "refused"),
    [
        (torch.bfloat16, "bf16", ()),
        (torch.float16, "fp16", ("bf16",)),  # a T4
        (torch.float32, "fp32", ("bf16", "fp16")),
    ],
)
def test_precision_follows_what_a_device_computes(
    quickest, auto, refused, config, monkeypatch
):
    monkeypatch.setattr(setup, "quickest_type", lambda device: quickest)
    device = torch.device("cuda")
    assert choose_precision(config(), device) == auto
    for precision in ("fp32", "fp16", "bf16"):
        if precision in refused:
            with pytest.raises(InputError, match=f"not compute in {precision}; use"):
                choose_precision(config(precision=precision), device)
        else:
            chosen = choose_precision(config(precision=precision), device)
            assert chosen == precision


@pytest.fixture
def in_fp16(monkeypatch):
    """As on a T4: products in float16, the loss scaled."""
    monkeypatch.setattr(engine, "choose_precision", lambda *_: "fp16")


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_run_in_fp16_trains_as_in_fp32_and_resumes(
    optimizer, config, tmp_path, in_fp16, monkeypatch
):
    run = config(steps=6, optimizer=optimizer)
    train(run, tmp_path / "whole")
    assert not Trainer(run, tmp_path / "legs").run(leg_minutes=0)  # one step
    train(run, tmp_path / "legs", resume=True)
    assert_same(*(weights_of(tmp_path / name) for name in ("whole", "legs")))
    assert read_state(tmp_path / "whole")["scaler"]["scale"] > 1
    monkeypatch.undo()
    train(run, tmp_path / "exact")
    ours, exact = (losses_of(tmp_path / name) for name in ("whole", "exact"))
    assert sum(ours) == pytest.approx(sum(exact), rel=0.1)  # one is passed over


def losses_of(folder):
    records = read_log(folder / "log.jsonl")
    return [record["loss"] for record in records if record["event"] == "train"]


def weights_of(folder):
    state = read_state(folder)
    return {k: state[k] for k in ("model", "ema", "optimizers", "scaler", "step")}


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_gradients_beyond_fp16_change_nothing_and_halve_the_scale(
    optimizer, config, tmp_path, in_fp16
):
    trainer = Trainer(config(steps=6, optimizer=optimizer), tmp_path / "run")
    trainer.train_step()
    trainer.scaler.update(2.0**60)
    before = [p.detach().clone() for p in trainer.params]
    trainer.train_step()
    assert all(map(torch.equal, before, trainer.params))
    assert trainer.scaler.get_scale() == 2.0**59
    assert float(trainer.history["grad_norm"][-1]) == 0


def test_what_no_scale_mends_stops_a_run_in_fp16(config, tmp_path, in_fp16):
    trainer = Trainer(config(steps=4), tmp_path / "run")
    trainer.params[0].register_hook(lambda grad: grad * torch.inf)
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    with pytest.raises(FloatingPointError, match="stopped"):
        trainer.run()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "and 0 for the other: got steps 0 and minutes 0"),
        ({"minutes": 3}, "steps or minutes, and 0 for"),
        ({"variant": "tiny"}, "no variant 'tiny'; there are classical_x2"),
        ({"learning_rate": 1}, r"unknown fields \['learning_rate'\]"),
        ({"schedule": "linear"}, "schedule must be one of"),
        (
            {"degradation": {"name": "jpeg", "quality": 10}},
            "'jpeg' does not fit scale 2: what undoes it has scale 1",
        ),
        ({"losses": {"l3": 1}}, "losses must be among l1"),
        ({"losses": {"feature_matching": 1}}, "feature_matching needs adversarial"),
        ({"losses": {"l1": math.nan}}, "loss l1 needs numbers that fit; got nan"),
        ({"losses": {"charbonnier": {"weight": 1, "eps": "a"}}}, "needs numbers that"),
        ({"losses": {"adversarial": {"weight": 1, "dim": 0}}}, "needs numbers that"),
        (
            {"device": "gpu"},
            "device must be one of .*'cpu', 'cuda'.*, got 'gpu'",
        ),
        ({"architecture": {"dim": 0}}, "sizes must be whole and > 0"),
        ({"architecture": {"scale": 5}}, "no 'pixelshuffledirect' x5; there are"),
        ({"checkpoint_every": 3, "log_every": 2}, "must be a multiple of log_every"),
        ({"log_every": 0}, "log_every must be at least 1, got 0"),
        ({"steps": -1, "minutes": 1}, "steps or minutes, and 0 for"),
        ({"batch": "many"}, "batch must be a whole number, got 'many'"),
        ({"patch": 8.5}, r"patch must be a whole number, got 8\.5"),
        ({"seed": True}, "seed must be a whole number, got True"),
        ({"lr": math.nan}, "lr must be a number, got nan"),
        ({"data": 3}, "data must be text, got 3"),
        ({"graph": "no"}, "graph must be true or false, got 'no'"),
        ({"betas": 0.9}, r"betas must be a list of numbers, got 0\.9"),
        ({"betas": [0.9]}, r"betas must be two numbers in \[0, 1\), got \(0\.9,\)"),
        ({"validation": "p4"}, "validation must be a dict of options, got 'p4'"),
        ({"validation": {"sigma": 3}}, "validation needs a path, got {'sigma': 3}"),
        ({"architecture": {"dimm": 8}}, r"architecture has no 'dimm'; there are \['in"),
        (
            {"architecture": {"depths": 2}},
            r"architecture\.depths must be a list of whole num",
        ),
        ({"lr": 1e300}, r"lr must be at most 3\.40282e\+38, got 1e\+300"),
        ({"lr": 10**400}, "lr must be a number, got 1000"),
        ({"seed": 10**30}, "seed must have at most 64 bits"),
        ({"losses": {"l1": 10**400}}, "loss l1 needs numbers that fit"),
        (
            {"degradation": {"name": ["bicubic"]}},
            r"no degradation \['bicubic'\]; there",
        ),
        (
            {
                "variant": "color_denoise_25",
                "degradation": {"name": "gaussian_noise", "sigma": 1e300},
            },
            "expected values in",
        ),
        ({"degradation": {"nme": 1}}, "degradation needs a name, got {'nme': 1}"),
        ({"degradation": {"name": "bicubc"}}, "no degradation 'bicubc'; there are bi"),
        (
            {"degradation": {"name": "real_world"}},
            "'real_world' does not fit scale 2: what undoes it has scale 4",
        ),
        ({"degradation": {"name": "bicubic", "sgma": 3}}, "'bicubic' has no option 's"),
    ],
)
def test_what_cannot_be_trained_is_refused(config, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        Trainer(config(**changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


NOISE = {"name": "gaussian_noise", "sigma": [0, 50]}


@pytest.mark.parametrize(
    ("degradation", "validation", "message"),
    [
        ({**NOISE, "sgima": 3}, {"sigma": 25}, r"no option 'sgima'; it has \['sigma'"),
        ({"name": "gaussian_noise"}, {}, "needs a value for 'sigma'"),
        (NOISE, {}, r"needs one number to validate or test for 'sigma', got \[0, 50\]"),
        ({**NOISE, "sigma": "a"}, {"sigma": 2}, "needs a number or a pair for 'sigma'"),
        ({"name": "haze"}, {}, "no degradation 'haze'; there are bicubic, gaussian_no"),
        ({**NOISE, "sigma": [-3, 50]}, {"sigma": 25}, "sigma must be at least 0"),
        ({"name": "jpeg", "quality": [0, 500]}, {"quality": 10}, "must be in 1..100"),
    ],
)
def test_degradations_that_do_not_work_are_refused(
    config, photos, degradation, validation, message
):
    architecture = {**TINY["architecture"], **RESTORATION}
    config = config(architecture=architecture, degradation=NOISE)
    with pytest.raises(InputError, match=message):
        replace(
            config,
            degradation=degradation,
            validation={"path": str(photos), **validation},
        )


def test_schedules():
    paper = load_config("paper")
    at = [0, 249_999, 250_000, 400_000, 450_000, 475_000]
    factors = [paper.lr_at(step, 500_000) / 2e-4 for step in at]
    assert factors == [1, 1, 1 / 2, 1 / 4, 1 / 8, 1 / 16]
    cosine = TrainConfig(steps=1000, warmup=100, lr=1.0)
    rates = [cosine.lr_at(step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert all(a < b for a, b in itertools.pairwise(rates[:95]))
    assert all(a > b for a, b in itertools.pairwise(rates[100:]))
    assert rates[500] == pytest.approx(0.5)
    assert rates[-1] < 1e-5


def test_presets_and_overrides(tmp_path):
    for preset in PRESETS.glob("*.json"):
        config = load_config(preset.stem)
        again = load_config(json.loads(as_json(config)))
        assert again == config
    paper = load_config("paper")
    assert (paper.lr, paper.steps, paper.batch, paper.patch) == (2e-4, 500_000, 64, 64)
    changed = load_config("paper", ["lr=1e-3", "validation.path=here", "steps=7"])
    assert (changed.lr, changed.steps) == (1e-3, 7)
    assert changed.validation == {"path": "here"}
    changed = load_config("denoise", ["data=2024", "steps=1e3", "minutes=0"])
    assert (changed.data, changed.steps) == ("2024", 1000)
    assert type(changed.steps) is int
    with pytest.raises(ValueError, match=r"no configuration 'fast'.* paper"):
        load_config("fast")


def test_overrides_reach_into_dicts():
    changed = load_config("real_world_gan", ["losses.adversarial.dim=4"])
    assert changed.losses["adversarial"]["dim"] == 4
    assert changed.losses["adversarial"]["weight"] == 0.1
    changed = load_config("denoise", ["degradation.sigma=3"])
    assert changed.degradation == {"name": "gaussian_noise", "sigma": 3}
    with pytest.raises(ValueError, match="'bicubic' has no option 'sgma'"):
        load_config("speedrun", ["degradation.sgma=3"])
    with pytest.raises(
        ValueError, match=r"cannot set losses\.l1\.eps: .* part of is 1"
    ):
        load_config("paper", ["losses.l1.eps=3"])
    with pytest.raises(ValueError, match=r"unknown fields \['loss'\]"):
        load_config("paper", ["loss.l1=3"])


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is not JSON: "), ("[1]", r"a dict of fields, not \[1\]")],
)
def test_a_file_that_holds_no_configuration_is_named(tmp_path, text, message):
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"{path} .*{message}"):
        load_config(path)


def test_the_baseline_has_as_many_parameters():
    counts = [
        sum(p.numel() for p in load_config(name).make_model().parameters())
        for name in ("residual_cnn", "speedrun")
    ]
    assert 1 <= counts[0] / counts[1] < 1.03


def test_command_line_trains_evaluates_and_explains(
    config, photos, tmp_path, capsys, refused
):
    path = tmp_path / "config.json"
    path.write_text(as_json(config()))
    out = str(tmp_path / "run")
    main(["train", "--config", str(path), "--set", "steps=2", "--out", out])
    assert "finished at step 2" in capsys.readouterr().out
    scores = tmp_path / "scores.json"
    main(["evaluate", out, str(photos), "--json", str(scores)])
    assert "dB" in capsys.readouterr().out
    last = read_log(tmp_path / "run/log.jsonl")[-1]
    (measured,) = json.loads(scores.read_text())
    assert measured["set"] == photos.name
    assert measured["psnr"] == last["psnr"]
    assert measured["channel"] == "Y"
    wrong = ["--config", path, "--set", "variant=x"]
    assert "error: no variant 'x'" in refused("train", *wrong, "--out", out)


def test_profile_says_what_the_data_costs(config):
    from swinir_lite.training.profile import idle_seconds, profile

    result = profile(config(validation={}), steps=2)
    assert result["step_ms"] > 0
    assert result["batch"] == 2
    assert (result["device"], result["torch"]) == ("CPU", torch.__version__)
    assert result["date"]
    assert result["config"]["lr"] == 0.002

    def event(start, end):
        span = type("Span", (), {"start": start, "end": end})
        return type("Event", (), {"time_range": span})

    events = [event(0, 4), event(2, 6), event(8, 10), event(8, 9), event(30, 32)]
    assert idle_seconds(events) == pytest.approx((20e-6, 22e-6, 32e-6))


def test_curves_are_drawn_from_logs(config, tmp_path):
    import matplotlib.pyplot as plt

    train(config(), tmp_path / "run")
    figure = plot_curves({"ours": tmp_path / "run/log.jsonl"})
    loss, psnr, lr = (ax.lines[0].get_ydata() for ax in figure.axes)
    assert len(loss) == len(lr) == 6
    assert len(psnr) == 2
    plt.close(figure)


@pytest.mark.parametrize("given", ["[" * 100_000, "1" * 5000])
def test_what_json_cannot_read_is_refused_as_a_word(given):
    with pytest.raises(InputError, match="lr must be a number, got '"):
        load_config("paper", [f"lr={given}"])


def test_test_images_too_small_to_measure_are_named_before_the_first_step(
    config, tmp_path
):
    (tmp_path / "tests").mkdir()
    pixels = np.zeros((14, 40, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "tests/low.png")
    small = config(validation={"path": str(tmp_path / "tests")})
    with pytest.raises(InputError, match="low: 40x14"):
        Trainer(small, tmp_path / "run")


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_state_cut_short_is_said_to_be_damaged(config, tmp_path, kept):
    run = tmp_path / "run"
    train(config(steps=2), run)
    content = (run / "state.pt").read_bytes()
    (run / "state.pt").write_bytes(content[: int(kept * len(content))])
    with pytest.raises(InputError, match="is damaged, or no run's state: remove it"):
        Trainer(config(steps=2), run, resume=True)


@pytest.mark.parametrize(
    "damage", [b"\xff\xfe", b"\0" * 40, b"3", b"[1]", b"{}", b'{"st']
)
def test_a_log_that_a_crash_damaged_is_read_up_to_there(damage, tmp_path):
    whole = b'{"step": 0, "event": "start"}\n'
    (tmp_path / "log.jsonl").write_bytes(whole + damage)
    assert read_log(tmp_path / "log.jsonl") == [{"step": 0, "event": "start"}]


def test_a_checkpoint_that_the_disk_has_no_room_for_leaves_the_last(config, tmp_path):
    run = tmp_path / "run"
    trainer = train(config(steps=2), run)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match=r"File too large: .*state\.pt"):
            trainer.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read_state(run)["step"] == 2
    assert not list(run.glob(".*.partial"))

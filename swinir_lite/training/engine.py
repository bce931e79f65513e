"""Train a restoration network: one loop for every task and device (chapter 18).

The same function runs on a CPU, on one GPU, and on several GPUs under
`accelerate launch`.  What is trained, on what and how long, is a TrainConfig.
"""

import copy
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor, nn

from ..checkpoint import load_initial_weights
from ..errors import InputError, is_out_of_memory
from ..losses import Criterion, make_criterion
from ..measuring.evaluation import average, measure_images, protocol
from ..speed.cuda_graph import Graphed
from ..speed.network import fast
from ..swinir import SwinIR
from ..whole_files import whole_file
from .config import TrainConfig, as_json
from .log import TrainingLog
from .muon import make_optimizers
from .setup import (
    choose_precision,
    make_accelerator,
    make_sampler,
    make_test_set,
    name_batch,
)
from .state import identity, read_state, write_state

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}  # autocast to these
LEAST_SCALE = 1.0  # of a loss in fp16; gradients that are not finite halve it


class Trainer:
    """A training run in a folder: `log.jsonl`, `config.json`, `state.pt`.

    Args:
        config: TrainConfig.
        folder: where the run's files are, or will be.
        resume: continue the folder's run, if it holds one.
        model: a network in place of the configuration's, an ablation's for one.
        criterion: a Criterion in place of the configuration's.

    Raises:
        FileExistsError: if the folder holds a run and `resume` is false.
        InputError: for a network, losses or data that cannot be trained, or another
            run's state; from `run` also for a batch that memory cannot hold.
    """

    def __init__(
        self,
        config: TrainConfig,
        folder: str | Path,
        resume: bool = False,
        model: nn.Module | None = None,
        criterion: Criterion | None = None,
    ):
        self.began = time.perf_counter()
        self.config, self.folder = config, Path(folder)
        self.state_file = self.folder / "state.pt"
        if self.state_file.exists() and not resume:
            raise FileExistsError(f"{folder} holds a run: resume it, or choose another")
        self.accelerator = make_accelerator(config)
        self.device = self.accelerator.device
        self.main = self.accelerator.is_main_process
        self.processes = self.accelerator.num_processes
        self.rank = self.accelerator.process_index

        # Networks and losses first: what is wrong with them shows before a picture
        # is decoded
        torch.manual_seed(config.seed)  # all processes draw the same weights
        self.model = config.make_model() if model is None else model
        if config.initial_weights and not self.state_file.exists():
            load_initial_weights(self.model, config.initial_weights)
        self.model.to(self.device)
        self.ema = copy.deepcopy(self.model).requires_grad_(False)
        self.params = list(self.model.parameters())
        self.criterion = criterion or make_criterion(config.losses, config.in_channels)
        self.criterion.to(self.device).prepare(self.accelerator)
        cuda = self.device.type == "cuda"
        self.precision = choose_precision(config, self.device)
        # A CUDA graph must cast the weights anew at every replay
        self.autocast = torch.autocast(
            self.device.type, TYPES.get(self.precision), self.precision in TYPES,
            cache_enabled=False,
        )  # fmt: skip
        # Gradients beyond float16's range: the update is passed over, the scale halved
        scaled = self.precision == "fp16"
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=scaled)
        self.optimizers = make_optimizers(
            self.model, config.optimizer, config.lr, config.betas
        )
        if isinstance(self.model, SwinIR):  # the same weights, computed faster
            self.net, self.averaged = fast(self.model), fast(self.ema)
        else:
            self.net = torch.compile(self.model) if cuda else self.model
            self.averaged = self.ema
        self.gradients, self.update = self.forward_backward, self.clip_and_update
        self.learn = self.criterion.update  # a discriminator, if there is one
        if cuda and config.graph:
            self.gradients = Graphed(self.gradients)
            self.update = Graphed(self.update)
            if self.processes == 1 and "adversarial" in config.losses:
                self.learn = Graphed(self.learn)  # DDP's reduction stays outside

        self.test_set = make_test_set(config)[self.rank :: self.processes]
        self.sampler = make_sampler(config, self.accelerator)
        self.identity = identity(config, self.sampler.cache, self.processes)

        self.step, self.seconds, self.total = 0, 0.0, config.steps or math.inf
        if self.state_file.exists():
            self.load()
        self.history = {}  # name -> values since the last report, still on the device

    def description(self) -> dict[str, Any]:
        """What the log says about the run's circumstances."""
        gpu = torch.cuda.get_device_name() if self.device.type == "cuda" else None
        return {
            "config": asdict(self.config), "device": gpu or "CPU",
            "processes": self.processes, "torch": torch.__version__,
            "precision": self.precision,
            "images": len(self.sampler.cache.names), "date": time.strftime("%Y-%m-%d"),
            "parameters": sum(p.numel() for p in self.params),
        }  # fmt: skip

    def forward_backward(
        self, lq: Tensor, hq: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Gradients of the loss for a batch; the restored images, the loss's terms."""
        self.model.zero_grad()
        with self.autocast:
            restored = self.net(lq).float()
        terms = self.criterion(restored, hq)
        self.scaler.scale(sum(terms.values())).backward()
        return restored.detach(), {k: v.detach() for k, v in terms.items()}

    def average_gradients(self) -> None:
        """Data parallelism: every process takes the mean of all gradients."""
        if self.processes > 1:
            grads = [p.grad for p in self.params if p.grad is not None]
            flat = torch.cat([g.flatten() for g in grads])
            flat = self.accelerator.reduce(flat, "mean")
            parts = flat.split([g.numel() for g in grads])
            torch._foreach_copy_(grads, [f.view_as(g) for f, g in zip(parts, grads)])

    def clip_and_update(self) -> Tensor:
        """Step the optimisers; the gradient's norm before it was clipped.

        A step that a scaled loss passes over has none.
        """
        limit = self.config.clip or math.inf
        if self.scaler.is_enabled():
            self.unscale()
        norm = torch.nn.utils.clip_grad_norm_(self.params, limit, foreach=True)
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()
        return norm.nan_to_num(0, 0) if self.scaler.is_enabled() else norm

    def unscale(self) -> None:
        """Divide gradients by the loss's scale; if one is not finite none of them is.

        Each optimiser looks at its own gradients alone, and passes over its step.
        """
        grads = [p.grad for p in self.params if p.grad is not None]
        norm = torch.stack(torch._foreach_norm(grads)).norm()
        torch._foreach_mul_(grads, torch.where(norm.isfinite(), 1.0, torch.nan))
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)

    def train_step(self) -> None:
        """One update of the weights.  Waits for nothing: the GPU runs behind."""
        config, step = self.config, self.step
        self.lr = config.lr_at(step, self.total)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"].fill_(self.lr)
        lq, hq = self.sampler.batch(step)
        restored, terms = self.gradients(lq, hq)
        self.average_gradients()
        norm = self.update()
        decay = min(config.ema, (1 + step) / (10 + step))  # forgets the start sooner
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.parameters()), self.params, 1 - decay)
        learned = self.learn(restored, hq)
        values = {"loss": sum(terms.values()), "grad_norm": norm, **learned}
        if len(terms) > 1:
            values |= terms
        for name, value in values.items():
            self.history.setdefault(name, []).append(value.detach().clone())
        self.step += 1

    @contextmanager
    def memory_errors(self) -> Iterator[None]:
        """Say which batch it was that the memory cannot hold."""
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            patch, batch = self.config.patch, self.config.batch // self.processes
            raise InputError(
                f"the memory of {self.device} cannot hold a batch of {batch} patches "
                f"of {patch}x{patch}: make batch or patch smaller"
            ) from error

    def start_clock(self) -> None:
        """From here on, steps count as minutes of training."""
        self.tick, self.ticked = time.perf_counter(), self.step

    def count_writes(self) -> None:
        """Have PyTorch count that weights were written to, as fast networks ask it.

        A CUDA graph writes to them without its knowledge, and on a GPU so do
        operations on lists of tensors.
        """
        for weight in (*self.params, *self.ema.parameters()):
            torch.autograd.graph.increment_version(weight)

    def report(self) -> None:
        """Log the steps since the last report; stop if a loss was not finite."""
        self.count_writes()
        values = torch.stack([torch.stack(v) for v in self.history.values()])
        values = self.accelerator.reduce(values, "mean").tolist()  # of all processes
        history, self.history = dict(zip(self.history, values)), {}
        now, count = time.perf_counter(), len(history["loss"])
        elapsed, timed = now - self.tick, self.step - self.ticked
        for i, (loss, norm) in enumerate(zip(history["loss"], history["grad_norm"])):
            if not math.isfinite(loss + norm):
                self.stop_non_finite(self.step - count + i, loss, norm)
        if self.scaler.get_scale() < LEAST_SCALE:  # it is not the scale's fault
            self.stop_non_finite(self.step - 1, history["loss"][-1], math.nan)
        self.seconds += elapsed
        config = self.config
        speed = round(timed * config.batch / elapsed, 1)
        if config.minutes:
            left = max(0.0, 60 * config.minutes - self.seconds)
            self.total = self.step + round(left * self.step / self.seconds)
        means = {name: math.fsum(values) / count for name, values in history.items()}
        self.log.write(
            self.step, "train", **means, lr=self.lr, images_per_second=speed,
            seconds=self.seconds, wall_seconds=round(now - self.began, 2),
        )  # fmt: skip
        shown = {"loss": means["loss"], "images_per_second": int(speed)}
        self.log.progress(self.step, self.total, **shown)

    def stop_non_finite(self, step: int, loss: float, norm: float) -> None:
        batch = name_batch(self.sampler, step, self.processes)
        self.log.write(step, "non-finite", loss=str(loss), norm=str(norm), batch=batch)
        self.log.close()
        kept = f"{self.state_file} holds the last checkpoint"
        if not self.state_file.exists():
            kept = "There is no checkpoint yet"
        raise FloatingPointError(
            f"step {step}: loss {loss}, gradient norm {norm}; stopped. The batch: "
            f"{', '.join(batch)}. {kept}."
        )

    def validate(self) -> None:
        """Measure the averaged weights by the paper's protocol and log it.

        Every process restores its share of the images.
        """
        if not self.config.validation:
            return
        how = protocol(self.config.scale, self.config.in_channels)
        own = measure_images(self.averaged, self.test_set, *how)
        images = {k: v for part in gather_object([own]) for k, v in part.items()}
        scores = average(images, self.config.scale, *how)
        self.log.write(self.step, "validation", **scores, seconds=self.seconds)

    def save(self) -> None:
        """Write `state.pt`: all that a run consists of beside its files of images."""
        if not self.main:
            return
        state = {
            "run": self.identity, "step": self.step, "seconds": self.seconds,
            "wall_seconds": time.perf_counter() - self.began, "total": self.total,
            "model": self.model.state_dict(), "ema": self.ema.state_dict(),
            "criterion": self.criterion.state_dict(), "rng": torch.get_rng_state(),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "scaler": self.scaler.state_dict(),
        }  # fmt: skip
        write_state(self.state_file, state)

    def load(self) -> None:
        state = read_state(self.state_file, self.identity, self.device)
        for name in ("model", "ema", "criterion"):
            getattr(self, name).load_state_dict(state[name])
        for optimizer, saved_state in zip(self.optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved_state)
        if state.get("scaler"):
            self.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["rng"].cpu())
        for name in ("step", "seconds", "total"):
            setattr(self, name, state[name])
        self.began -= state["wall_seconds"]

    def is_due(self, every: int) -> bool:
        return self.step % every == 0 or self.step >= self.total

    def open_log(self) -> None:
        """Continue or begin the run's files, and say what runs and where."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.main:
            for killed in self.folder.glob(".*.partial"):
                killed.unlink()
            with whole_file(self.folder / "config.json") as partial:
                partial.write_text(as_json(self.config))
        known = self.config.steps or None
        self.log = TrainingLog(self.folder, self.main, self.step, known)
        self.log.write(self.step, "start", **self.description())

    def run(self, leg_minutes: float = math.inf) -> bool:
        """Train to the end, or for `leg_minutes` of wall time; True if at the end."""
        if self.step >= self.total:
            return True  # at its end when it was resumed
        self.open_log()
        config, start, leg_over = self.config, time.perf_counter(), False
        first = self.step
        while self.step < self.total and not leg_over:
            with self.memory_errors():
                self.train_step()
            if self.step == first + 1:  # compiling and warming up are not training
                float(self.history["loss"][0])
                self.start_clock()
            if self.is_due(config.log_every):
                self.report()
                leg_over = time.perf_counter() - start > 60 * leg_minutes
                self.total, leg_over = broadcast_object_list([self.total, leg_over])
                if self.is_due(config.validate_every):
                    self.validate()
                if self.is_due(config.checkpoint_every) or leg_over:
                    self.save()
                self.start_clock()
        self.log.close()
        return self.step >= self.total

"""Off-policy evaluation: bias, error and coverage in worlds whose values are known, real logs, and speed, beside OBP.

Known worlds: a bandit of 20 states and 5 actions with rewards 0 or 1, and an MDP of 8 states and 3 actions with discounted
returns of episodes of at most 12 steps, some of which are cut off. The value of each policy is computed exactly. For each
estimator the table tells the bias and the root mean square error over the runs, and in how many of them the 95 % interval
held the value; estimators without a model value the first 12 steps, the others go on with the model. OBP gets the same data
and, for its doubly robust estimators, the same cross-fitted model, and draws as many bootstrap resamples.

With --data DIR (Open Bandit Dataset, small version: a folder with random/all.csv and bts/all.csv) each of two policies is
valued from the log of the other. Their click rates in the full data are known: random 0.35 %, bts 0.50 %. A third policy,
of which the log of 10,000 rows tells as much as two or three outcomes of its own would, must be answered with "cannot tell".

Speed: the same arrays of a million rows and ten actions; estimates with importance weights and checks of the input, where
Steersman's one pass gives all of them with their standard errors; and estimates with bootstrap intervals, where OBP's time
is that of 20 resamples, taken times 50 for 1,000. CPU time is told, which other processes disturb least, of the quickest
of some tries.

    python benchmarks/ope.py [--runs 200] [--data DIR] [--peer PYTHON] [--quick]

--peer: the interpreter of an environment with OBP, which needs no torch for its numpy estimators (its imports are stubbed):
    python -m venv DIR
    DIR/bin/pip install numpy pandas scikit-learn pyyaml tqdm mypy_extensions cloudpickle narwhals
    DIR/bin/pip install --no-deps obp==0.4.1
"""

import argparse
import csv
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steersman.core.sections import Evaluation as Settings
from steersman.maths.intervals import bias_corrected, resample
from steersman.maths.off_policy import bandit
from steersman.maths.off_policy.fitted_q import Transitions, crossfit
from steersman.maths.off_policy.sums import estimates, of_log
from steersman.maths.off_policy.terms import Terms
from steersman.maths.off_policy.weights import importance_weights, of_executed
from steersman.stages.evaluate.evaluate import Evaluation, evaluate
from steersman.stages.evaluate.evidence import Evidence

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ITEMS, POSITIONS = 80, 3
STEPS = 12
WITHOUT_MODEL = ("importance sampling", "weighted importance sampling", "per decision", "weighted per decision")
KNOWN = {"random": 0.0035, "bts": 0.0050}
OURS = {
    "ips": "InverseProbabilityWeighting",
    "snips": "SelfNormalizedInverseProbabilityWeighting",
    "direct": "DirectMethod",
    "doubly robust": "DoublyRobust",
    "switch": "SwitchDoublyRobust",
}
PEER = """
import json, sys, time, types, warnings
warnings.simplefilter("ignore")

class Stub(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        made = Stub(name) if name in ("utils", "data", "nn", "optim", "functional") else type(name, (), {})
        setattr(self, name, made)
        return made

for name in ("torch", "torch.nn", "torch.nn.functional", "torch.optim", "torch.utils", "torch.utils.data",
             "matplotlib", "matplotlib.pyplot", "seaborn"):
    sys.modules[name] = Stub(name)
import numpy as np
from obp import ope

given, out = np.load(sys.argv[1]), []
for run in range(int(given["runs"])):
    a = {name: given[f"{name}_{run}"] for name in ("reward", "action", "pscore", "action_dist", "model")}
    data = dict(reward=a["reward"], action=a["action"], pscore=a["pscore"], action_dist=a["action_dist"][:, :, None],
                position=np.zeros(len(a["reward"]), dtype=int), estimated_rewards_by_reg_model=a["model"][:, :, None])
    row = {}
    for name in json.loads(sys.argv[2]):
        make = getattr(ope, name)
        estimator = make(tau=1e9) if name == "SwitchDoublyRobust" else make()
        estimate, interval = [], []
        for _ in range(int(given["repeats"])):
            began = time.process_time()
            value = estimator.estimate_policy_value(**data)
            estimate.append(time.process_time() - began)
        began = time.process_time()
        resamples = int(given["resamples"])
        found = estimator.estimate_interval(**data, alpha=0.05, n_bootstrap_samples=resamples, random_state=run)
        low, high = (found[key] for key in found if "CI" in key)
        row[name] = [float(value), float(low), float(high), min(estimate), time.process_time() - began]
    out.append(row)
print(json.dumps(out))
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the comparison of speed")
    parser.add_argument("--data", type=Path, help="a folder with random/all.csv and bts/all.csv of the Open Bandit Dataset")
    parser.add_argument("--peer", help="the interpreter of an environment with OBP")
    parser.add_argument("--quick", action="store_true", help="a few runs, to see that it works")
    options = parser.parse_args()
    runs, rows = (10, 20_000) if options.quick else (options.runs, options.rows)
    bandits(runs, options.peer)
    episodes(runs)
    speed(rows, options.peer)
    if options.data is not None:
        real(options.data)


@dataclass(frozen=True, kw_only=True)
class Score:
    """Over runs: mean error, root mean square error, and the share of intervals that held the value."""

    bias: float
    rmse: float
    coverage: float


def score(found: Iterable[tuple[float, float, float]], value: float) -> Score:
    """Return the score of (estimate, low, high) of each run."""
    table = np.array(list(found))
    errors = table[:, 0] - value
    held = (table[:, 1] <= value) & (value <= table[:, 2])
    return Score(bias=float(errors.mean()), rmse=float(np.sqrt(np.mean(errors**2))), coverage=float(held.mean()))


def show(title: str, scores: Mapping[str, Score]) -> None:
    print(f"\n{title:<64} {'bias':>9} {'RMSE':>9} {'coverage':>9}")
    for name, each in scores.items():
        print(f"{name:<64} {each.bias:>9.4f} {each.rmse:>9.4f} {each.coverage:>9.3f}", flush=True)


def softmax(values: Floats, temperature: float) -> Floats:
    raised = np.exp((values - values.max(axis=-1, keepdims=True)) / temperature)
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


@dataclass(frozen=True, kw_only=True)
class Bandit:
    """Chances of reward 1 (S, A), and three policies with the one that made the log."""

    chances: Floats
    policies: Mapping[str, Floats]

    def value(self, name: str) -> float:
        """The exact value of a policy; states come up equally often."""
        return float((self.policies[name] * self.chances).sum(axis=1).mean())

    def log(self, rows: int, rng: np.random.Generator) -> Evidence:
        """Return rows of the log with rewards drawn."""
        state = rng.integers(0, len(self.chances), rows)
        action = drawn(self.policies["log"][state], rng)
        return evidence_of(
            self.policies,
            state=state,
            action=action,
            reward=(rng.random(rows) < self.chances[state, action]).astype(float),
            gamma=0.0,
        )


def bandit_world(seed: int, *, states: int = 20, actions: int = 5) -> Bandit:
    """Return a bandit whose log explores with a tenth and whose candidate is much greedier than its incumbent."""
    chances = np.random.default_rng(seed).uniform(0.1, 0.9, (states, actions))
    mistaken = chances + np.random.default_rng(seed + 1).normal(0.0, 0.15, chances.shape)
    incumbent, candidate = softmax(mistaken, 0.3), 0.95 * softmax(chances, 0.05) + 0.05 / actions
    baseline = np.eye(actions)[np.zeros(states, dtype=np.int64)]
    log = 0.85 * incumbent + 0.05 * baseline + 0.10 / actions
    return Bandit(
        chances=chances, policies={"candidate": candidate, "incumbent": incumbent, "baseline": baseline, "log": log}
    )


def drawn(chances: Floats, rng: np.random.Generator) -> Ints:
    """Return an action for each row of chances (n, A)."""
    found = (chances.cumsum(axis=1) < rng.random((len(chances), 1))).sum(axis=1)
    return np.asarray(np.minimum(found, chances.shape[1] - 1), dtype=np.int64)


def evidence_of(
    policies: Mapping[str, Floats], *, state: Ints, action: Ints, reward: Floats, gamma: float, **columns: Any
) -> Evidence:
    """Return evidence of rows; what is not given is that of a bandit."""
    count = len(state)
    rest = {
        "episode": np.arange(count),
        "step": np.zeros(count, dtype=np.int64),
        "next_state": np.full(count, -1),
        "terminated": np.ones(count, dtype=np.bool_),
        "decided_at": np.arange(count, dtype=np.float64),
        "propensity": policies["log"][state, action],
        **columns,
    }
    return Evidence(
        reward=reward,
        action=action,
        state=state,
        candidate=policies["candidate"][state],
        incumbent=policies["incumbent"][state],
        baseline=policies["baseline"][state],
        allowed=np.ones((count, policies["log"].shape[1]), dtype=np.bool_),
        low=0.0,
        high=1.0,
        gamma=gamma,
        **rest,
    )


def bandits(runs: int, peer: str | None) -> None:
    """Print the scores of the candidate's estimates in the known bandit."""
    world = bandit_world(3)
    for rows in (300, 3_000):
        logs = [world.log(rows, np.random.default_rng(1_000 + run)) for run in range(runs)]
        found = [judge(each, run) for run, each in enumerate(logs)]
        scores = {f"Steersman, {name}": mine for name, mine in scored(found, world.value("candidate")).items()}
        scores |= differences(found, world.value("candidate") - world.value("incumbent"))
        if peer:
            theirs = asked(peer, [data_for_peer(each) for each in logs], resamples=1_000)
            for name in OURS.values():
                triples = [(row[name][0], row[name][1], row[name][2]) for row in theirs]
                scores[f"OBP, {name}"] = score(triples, world.value("candidate"))
            print(f"\nlargest difference between estimates, rows × 5 estimators × {runs} runs: {apart(found, theirs):.1e}")
        title = f"bandit, {rows} outcomes (as {effective(found):.0f} of its own), {runs} runs, value"
        show(f"{title} {world.value('candidate'):.4f}", scores)


def judge(evidence: Evidence, seed: int) -> Evaluation:
    return evaluate(evidence, Settings(), np.random.default_rng(seed))


def scored(found: list[Evaluation], value: float) -> dict[str, Score]:
    names = list(found[0].standings["candidate"].estimates)
    taken = {name: [each.standings["candidate"].estimates[name] for each in found] for name in names}
    return {name: score([(each.value, each.low, each.high) for each in one], value) for name, one in taken.items()}


def differences(found: list[Evaluation], value: float) -> dict[str, Score]:
    """Return the scores of the candidate less the incumbent: by which the verdict goes, and the two exact ones."""
    each = [one.differences["incumbent"] for one in found]
    return {
        "Steersman, candidate less incumbent": score([(one.value, one.low, one.high) for one in each], value),
        "Steersman, the same, certain (Maurer & Pontil)": score([(one.value, *one.certain) for one in each], value),
        "Steersman, the same, at all times": score([(one.value, *one.anytime) for one in each], value),
    }


def effective(found: list[Evaluation]) -> float:
    return float(np.mean([each.standings["candidate"].effective for each in found]))


def apart(found: list[Evaluation], theirs: list[dict[str, list[float]]]) -> float:
    """Return the largest difference between our estimates and OBP's; 0 up to rounding where no weight was cut."""
    return max(
        abs(mine.standings["candidate"].estimates[name].value - row[peer][0])
        for mine, row in zip(found, theirs, strict=True)
        for name, peer in OURS.items()
    )


def data_for_peer(evidence: Evidence) -> dict[str, Any]:
    """Return what OBP needs, with our cross-fitted model."""
    rows = Transitions(
        state=evidence.state,
        action=evidence.action,
        reward=evidence.reward,
        next_state=evidence.next_state,
        terminated=evidence.terminated,
    )
    fold = np.arange(len(evidence)) % 5
    states, actions = int(evidence.state.max()) + 1, evidence.candidate.shape[1]
    model = crossfit(rows, np.full((states, actions), 1.0 / actions), fold)[fold, evidence.state]
    return {
        "reward": evidence.reward,
        "action": evidence.action,
        "pscore": evidence.propensity,
        "action_dist": evidence.candidate,
        "model": model,
    }


def asked(peer: str, data: list[dict[str, Any]], *, resamples: int, repeats: int = 1) -> list[dict[str, list[float]]]:
    """Return, of each data set and estimator of OBP: estimate, low, high, seconds for the estimate and for the interval."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "data.npz"
        arrays = {f"{name}_{run}": each for run, one in enumerate(data) for name, each in one.items()}
        np.savez(file, runs=len(data), resamples=resamples, repeats=repeats, **arrays)
        command = [peer, "-c", PEER, str(file), json.dumps(list(OURS.values()))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"OBP failed in {peer}:\n{done.stderr[-2_000:]}")
    found: list[dict[str, list[float]]] = json.loads(done.stdout.splitlines()[-1])
    return found


@dataclass(frozen=True, kw_only=True)
class Chain:
    """An MDP: chances of the next state (S, A, S), of reward 1 (S, A), of ending after any step, and policies."""

    moves: Floats
    chances: Floats
    ending: float
    gamma: float
    policies: Mapping[str, Floats]

    def value(self, name: str, steps: int = 10_000) -> float:
        """The exact value of the first steps of a policy from a state drawn evenly: v_n = r_π + γ(1 − e)·P_π·v_(n − 1)."""
        policy = self.policies[name]
        onward = np.einsum("sa,sat->st", policy, self.moves) * self.gamma * (1.0 - self.ending)
        earned, value = (policy * self.chances).sum(axis=1), np.zeros(len(policy))
        for _ in range(steps):
            value = earned + onward @ value
        return float(value.mean())

    def log(self, count: int, steps: int, rng: np.random.Generator) -> Evidence:
        """Return episodes of at most `steps` steps; those that last longer are cut off."""
        parts: list[dict[str, Any]] = []
        episode, state = np.arange(count), rng.integers(0, len(self.chances), count)
        for step in range(steps):
            action = drawn(self.policies["log"][state], rng)
            after = drawn(self.moves[state, action], rng)
            ended = rng.random(len(state)) < self.ending
            reward = (rng.random(len(state)) < self.chances[state, action]).astype(float)
            part = {"state": state, "action": action, "reward": reward, "next_state": after, "terminated": ended}
            parts.append({**part, "episode": episode, "step": np.full(len(state), step)})
            episode, state = episode[~ended], after[~ended]
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        columns["decided_at"] = columns["episode"] + columns["step"] / 100.0
        return evidence_of(self.policies, gamma=self.gamma, **columns)


def chain_world(seed: int, *, states: int = 8, actions: int = 3) -> Chain:
    """Return an MDP whose candidate prefers better actions a little more than the log does."""
    rng = np.random.default_rng(seed)
    chances = rng.uniform(0.0, 1.0, (states, actions))
    moves = rng.dirichlet(np.full(states, 0.5), (states, actions))
    even, better = np.full((states, actions), 1.0 / actions), softmax(chances, 0.5)
    worse = softmax(-chances, 1.0)
    policies = {"candidate": better, "incumbent": even, "baseline": worse, "log": even}
    return Chain(moves=moves, chances=chances, ending=0.2, gamma=0.9, policies=policies)


def episodes(runs: int) -> None:
    """Print the scores of the candidate's estimates in the known MDP."""
    world = chain_world(5)
    for count in (300, 2_000):
        found = [judge(world.log(count, STEPS, np.random.default_rng(2_000 + run)), run) for run in range(runs)]
        whole, seen = scored(found, world.value("candidate")), scored(found, world.value("candidate", STEPS))
        scores = {f"Steersman, {name}": seen[name] if name in WITHOUT_MODEL else each for name, each in whole.items()}
        scores |= differences(found, world.value("candidate") - world.value("incumbent"))
        title = f"MDP, {count} episodes (as {effective(found):.0f} of its own), {runs} runs, value"
        show(f"{title} {world.value('candidate'):.4f}", scores)


def speed(rows: int, peer: str | None) -> None:
    """Print milliseconds for estimates with standard errors, and for bootstrap intervals, on the same arrays."""
    data = arrays(rows)
    theirs = asked(peer, [data], resamples=20, repeats=5)[0] if peer else {}
    title = f"{rows} rows, 10 actions, milliseconds of CPU"
    print(f"\n{title:<60} {'Steersman':>10} {'OBP':>10} {'ratio':>7}")
    for names, model in (("ips", "snips"), None), (tuple(OURS), data["model"]):
        mine = best(lambda model=model: estimates(of_log(*columns(data), model=model)))  # type: ignore[misc]
        for name in names[-3:]:
            _speed(f"{name}: with noise, in one pass with {len(names) - 1} more", mine, theirs, name, place=3)
        if theirs:
            together = sum(theirs[OURS[name]][3] for name in names)
            line = f"{'all ' + str(len(names)) + ' of them':<60} {1e3 * mine:>10.1f}"
            print(f"{line} {1e3 * together:>10.1f} {together / mine:>7.1f}")
    for name in OURS:
        mine = best(lambda name=name: bounded(data, name), tries=3)  # type: ignore[misc]
        _speed(f"{name}: with its interval of 1,000 resamples", mine, theirs, name, place=4, times=50)


def _speed(title: str, mine: float, theirs: dict[str, list[float]], name: str, *, place: int, times: int = 1) -> None:
    line = f"{title:<60} {1e3 * mine:>10.1f}"
    if theirs:
        other = times * theirs[OURS[name]][place]
        line += f" {1e3 * other:>10.1f} {other / mine:>7.1f}"
    print(line, flush=True)


def best(work: Callable[[], object], *, tries: int = 7) -> float:
    """Return the CPU seconds of the quickest of some tries; other processes only add."""
    found = []
    for _ in range(tries):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


def columns(data: dict[str, Any]) -> tuple[Floats, Ints, Floats, Floats]:
    return data["action_dist"], data["action"], data["pscore"], data["reward"]


def arrays(rows: int, *, actions: int = 10) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    log = 0.8 * rng.dirichlet(np.ones(actions), rows) + 0.2 / actions
    action = drawn(log, rng)
    return {
        "reward": (rng.random(rows) < 0.3).astype(float),
        "action": action,
        "pscore": log[np.arange(rows), action],
        "action_dist": rng.dirichlet(np.ones(actions), rows),
        "model": rng.random((rows, actions)),
    }


def bounded(data: dict[str, Any], name: str) -> tuple[float, float]:
    """Return the BCa interval of 1,000 resamples of an estimate from the raw arrays."""
    terms = TERMS[name](data)
    replicates, without = resample(terms.columns, np.random.default_rng(0))
    return bias_corrected(terms.value, terms.from_means(replicates), terms.from_means(without))


def _weights(data: dict[str, Any]) -> Floats:
    return importance_weights(data["action_dist"], data["action"], data["pscore"])


def _value(data: dict[str, Any]) -> Floats:
    return np.asarray(np.einsum("na,na->n", data["action_dist"], data["model"]))


def _predicted(data: dict[str, Any]) -> Floats:
    return of_executed(data["model"], data["action"])


TERMS: dict[str, Callable[[dict[str, Any]], Terms]] = {
    "ips": lambda data: bandit.ips(_weights(data), data["reward"]),
    "snips": lambda data: bandit.snips(_weights(data), data["reward"]),
    "direct": lambda data: bandit.direct(_value(data)),
    "doubly robust": lambda data: bandit.doubly_robust(_weights(data), data["reward"], _predicted(data), _value(data)),
    "switch": lambda data: bandit.switch_dr(_weights(data), data["reward"], _predicted(data), _value(data), limit=1e9),
}


def real(folder: Path) -> None:
    """Print what each log of the Open Bandit Dataset says of the other policy, and of one it knows next to nothing of."""
    logs = {name: clicks(folder / name / "all.csv") for name in KNOWN}
    even = np.full((POSITIONS, ITEMS), 1.0 / ITEMS)
    shown = frequencies(logs["bts"])
    print(f"\n{'clicks per 1,000, known':<40} {'effective':>9} {'cut':>6} {'snips':>22} {'doubly robust':>22}  verdict")
    for name, candidate, log, incumbent in (("bts", shown, "random", even), ("random", even, "bts", shown)):
        found = judge(logged(logs[log], candidate, incumbent), 0)
        _line(f"{name} from the log of {log}, {1e3 * KNOWN[name]:.1f}", found)
    found = judge(logged(logs["bts"], rare(shown), shown), 0)
    _line("the item hardly shown from the log of bts", found)
    print(f"  {found.reason}")


def _line(title: str, found: Evaluation) -> None:
    standing = found.standings["candidate"]
    told = [standing.estimates[name] for name in ("snips", "doubly robust")]
    columns = " ".join(f"{1e3 * each.value:>6.2f} [{1e3 * each.low:>5.2f}, {1e3 * each.high:>6.2f}]" for each in told)
    print(f"{title:<40} {standing.effective:>9.1f} {standing.cut:>6.3f} {columns}  {found.verdict}")


def clicks(file: Path) -> dict[str, Any]:
    with file.open() as lines:
        rows = list(csv.DictReader(lines))
    return {
        "action": np.array([int(row["item_id"]) for row in rows]),
        "state": np.array([int(row["position"]) - 1 for row in rows]),
        "reward": np.array([float(row["click"]) for row in rows]),
        "propensity": np.array([float(row["propensity_score"]) for row in rows]),
        "decided_at": np.array([datetime.fromisoformat(row["timestamp"]).timestamp() for row in rows]),
    }


def frequencies(log: dict[str, Any]) -> Floats:
    """Return how often each item was shown at each position, which is what the policy did on average over its days."""
    counts = np.bincount(log["state"] * ITEMS + log["action"], minlength=POSITIONS * ITEMS).reshape(POSITIONS, ITEMS)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def rare(shown: Floats) -> Floats:
    """Return the policy that shows the same item always, the one which was shown least of all."""
    return np.asarray(np.eye(ITEMS)[np.full(POSITIONS, np.argmin(shown.sum(axis=0)))])


def logged(log: dict[str, Any], candidate: Floats, incumbent: Floats) -> Evidence:
    policies = {"candidate": candidate, "incumbent": incumbent, "baseline": incumbent, "log": incumbent}
    return evidence_of(policies, gamma=0.0, **log)


if __name__ == "__main__":
    main()

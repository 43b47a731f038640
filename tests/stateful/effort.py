"""How long the machines run: the same few examples every time, or as many as ``STATEFUL_EXAMPLES`` says."""

import os

from hypothesis import HealthCheck, Phase, settings

EXAMPLES = int(os.environ.get("STATEFUL_EXAMPLES", "0"))
"""New ones in every run; ``--hypothesis-seed`` repeats a run. What fails is made smaller, which takes minutes."""

STEPS_AN_AUDIT = 1 if EXAMPLES else 5
"""The audit takes longer than all the rest of a step. What it would find stays there until it looks."""


def effort(*, examples: int, steps: int = 40) -> settings:
    """
    :param examples: how many unless ``STATEFUL_EXAMPLES`` is set
    """
    return settings(
        max_examples=EXAMPLES or examples,
        stateful_step_count=steps,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink] if EXAMPLES else [Phase.generate],
    )

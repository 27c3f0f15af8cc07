"""Which files a clearing takes, and why: a plan, before anything is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import frozen

from actorllama.kvcache import KnownFile, Survey, plan_down_to, plan_sweep

__all__ = ["Chosen", "GcRules", "plan_gc"]


@frozen(kw_only=True)
class GcRules:
    """What a clearing may take beside what nobody can use."""

    older_than_s: float | None = None
    limit_bytes: int | None = None
    takes_quarantined: bool = False
    takes_unresumable: bool = False
    temporary_age_s: float


@frozen(kw_only=True)
class Chosen:
    """A file that goes."""

    file: KnownFile
    reason: str


def plan_gc(
    survey: Survey, rules: GcRules, *, needs_others: Callable[[KnownFile], bool | None]
) -> tuple[Chosen, ...]:
    """Choose what goes: each file once, by the first rule that takes it.

    Rows that only those can reach that go are taken too: no later clearing finds more to do.

    Args:
        survey: What is there.
        rules: What is asked for.
        needs_others: As `Lineage.orphans`.

    Returns:
        In an order in which a death half way leaves no turn without its rows that had them: turns, then
        boundaries and blocks, what was used longest ago first.

    Cost: that of `Survey.lineage`.
    """
    chosen: dict[str, Chosen] = {}

    def take(files: Iterable[KnownFile], reason: str) -> None:
        for one in files:
            chosen.setdefault(one.path, Chosen(file=one, reason=reason))

    # A directory is listed after another: of a turn that is being published, a row may be seen and the one
    # before it not. That one got its name first, so a second listing has it.
    seen = frozenset(one.path for one in survey.files)
    survey.refresh()
    now_s = survey.now_s()
    lineage = survey.lineage()
    files = survey.files
    take(
        plan_sweep(
            files,
            is_running=survey.directory.files.is_running,
            now_s=now_s,
            temporary_age_s=rules.temporary_age_s,
        ),
        "unfinished",
    )
    if rules.takes_quarantined:
        take((one for one in files if one.kind == "quarantined"), "quarantined")
    take((lineage.rows[key] for key in lineage.orphans(needs_others)), "behind a gap")
    if rules.takes_unresumable:
        take((one for one, _ in survey.turns() if lineage.missing(one.key)), "rows are gone")
    if rules.older_than_s is not None:
        oldest_ns = (now_s - rules.older_than_s) * 1e9
        take((one for one, _ in survey.entries() if one.used_ns < oldest_ns), "old")
    if rules.limit_bytes is not None:
        used_bytes = survey.used_bytes - sum(one.file.n_bytes for one in chosen.values())
        rest = [one for one in files if one.path not in chosen]
        take(plan_down_to(rest, used_bytes=used_bytes, limit_bytes=rules.limit_bytes), "over the limit")
    gone = {one.file.key for one in chosen.values() if one.file.key in lineage.rows}
    take((lineage.rows[key] for key in lineage.orphans(needs_others, without=gone)), "behind a gap")
    return tuple(sorted((one for one in chosen.values() if one.file.path in seen), key=_order))


def _order(one: Chosen) -> tuple[bool, int]:
    facts = one.file.facts
    return facts is not None and facts.kind != "snapshot", one.file.used_ns

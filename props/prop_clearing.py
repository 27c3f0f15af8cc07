"""Laws of clearing: whatever was lost before, ``cache gc`` takes nothing that a prompt can still reach."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from actorllama.cli.cache_plan import GcRules, plan_gc
from actorllama.kvcache import (
    DiskTier,
    KnownFile,
    PrefixHit,
    RamTier,
    Snapshot,
    SnapshotStore,
    StoredEntry,
    Survey,
    clear,
)
from tests.cli.saved_turns import NAMESPACE, file_of, made_up_turn
from tests.kvcache.samples import QuickFiles

TURNS = st.lists(st.lists(st.sampled_from([1, 2]), min_size=2, max_size=14), min_size=1, max_size=5)
RULES = GcRules(temporary_age_s=3600.0)


def reachable(root: Path, turns: list[list[int]]) -> list[PrefixHit | None]:
    """Look each turn's tokens, and some more, up as the engine would."""
    store = SnapshotStore(
        ram=RamTier(limit_bytes=0), disk=DiskTier(root, limit_bytes=1 << 30, files=QuickFiles())
    )
    store.refresh()
    return [
        store.index.longest_prefix(NAMESPACE, (*tokens, 9), block_tokens=4, needs_boundary=needs_boundary)
        for tokens in turns
        for needs_boundary in (False, True)
    ]


def positions(entries: list[StoredEntry], turns: list[list[int]]) -> dict[str, bool]:
    """Know of each row whether it stands behind others, as rows do themselves."""
    behind: dict[str, bool] = {}
    for tokens in turns:
        *rows, snapshot = made_up_turn(*tokens)
        assert isinstance(snapshot, Snapshot)
        behind.update({row.key: depth > 0 for depth, row in enumerate(rows)})
    assert {entry.key for entry in entries if entry.kind != "snapshot"} <= set(behind)
    return behind


@given(turns=TURNS, data=st.data())
def prop_clearing_takes_nothing_that_is_of_use_and_leaves_nothing_to_clear(
    turns: list[list[int]], data: st.DataObject
) -> None:
    entries = {entry.key: entry for tokens in turns for entry in made_up_turn(*tokens)}
    lost = data.draw(st.sets(st.sampled_from(sorted(entries))), label="lost")
    behind = positions(list(entries.values()), turns)

    def needs_others(one: KnownFile) -> bool:
        return behind[one.key]

    with TemporaryDirectory() as folder:
        state = Path(folder)
        root = state / "snapshots"
        tier = DiskTier(root, limit_bytes=1 << 30, files=QuickFiles())
        for tokens in turns:
            tier.put_all(made_up_turn(*tokens))
        for key in lost:
            file_of(state, entries[key]).unlink()
        before = reachable(root, turns)

        survey = Survey(root)
        plan = plan_gc(survey, RULES, needs_others=needs_others)
        clear(survey.directory, [one.file for one in plan])

        assert reachable(root, turns) == before
        again = Survey(root)
        assert plan_gc(again, RULES, needs_others=needs_others) == ()
        snapshots = {one.key for one, facts in again.entries() if facts.kind == "snapshot"}
        assert snapshots == {key for key, entry in entries.items() if entry.kind == "snapshot"} - lost
        rows = [key for hit in before if hit is not None for key in hit.keys]
        assert {one.file.key for one in plan}.isdisjoint(rows)
        # What is left has all that it follows.
        lineage = again.lineage()
        assert all(lineage.parents[key] in lineage.rows or not behind[key] for key in lineage.rows), lineage


@given(turns=TURNS, data=st.data())
def prop_removing_turns_with_their_rows_costs_the_others_nothing(
    turns: list[list[int]], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder) / "snapshots"
        tier = DiskTier(root, limit_bytes=1 << 30, files=QuickFiles())
        for tokens in turns:
            tier.put_all(made_up_turn(*tokens))
        survey = Survey(root)
        lineage = survey.lineage()
        gone = data.draw(st.sets(st.sampled_from(sorted(lineage.needs))), label="gone")
        rows = lineage.unneeded(gone)
        for turn, keys in lineage.needs.items():
            assert turn in gone or set(rows).isdisjoint(keys)
        kept = {key for turn, keys in lineage.needs.items() if turn not in gone for key in keys}
        assert set(lineage.rows) - set(rows) == kept

"""What the server will refuse is said before it is asked: by the footer, by the key, and in the question."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pgwatch_tests.locks.actions.signal_rights import Role, SignalRights
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.reports.locks.test_labels import name_of
from tests.locks.snapshots import edge, session, snapshot
from tests.tui.acting import TABLE, Doing, locked, until_drawn, with_prepared
from tests.tui.driving import Feed, dialog_text, leak_report, screen_text, text_of, until

APP, PLAIN, OWNER = 10, 11, 12
GRANT = "GRANT pg_signal_backend TO plain"


@dataclass
class Server:
    """Tells the rights of the role `plain`, which may have been granted that of the app."""

    is_granted: bool = False
    reads: int = 0

    async def __call__(self) -> SignalRights:
        self.reads += 1
        return SignalRights(
            {
                APP: Role(APP, "app", False, self.is_granted, False),
                PLAIN: Role(PLAIN, "plain", False, True, True),
                OWNER: Role(OWNER, "owner", True, False, False),
            }
        )


def owned(shown: LockSnapshot, owners: dict[int, int]) -> LockSnapshot:
    """The snapshot with sessions of these roles, by pid."""
    sessions = (replace(one, user_oid=owners.get(one.pid, APP)) for one in shown.sessions)
    return replace(shown, sessions=tuple(sessions))


async def test_a_key_that_the_server_would_refuse_says_which_grant_helps() -> None:
    source, server = Feed(owned(locked(), {}), leak_report()), Server()
    app = source.dashboard(act=Doing(), read_rights=server)
    async with app.run_test(notifications=True, size=(120, 24)) as pilot:
        await until(pilot, lambda: server.reads > 0 and "K End" not in screen_text(app).splitlines()[-1])
        drawn = screen_text(app)
        assert "A Do it" not in drawn.splitlines()[-1]
        assert "A does it" not in drawn
        assert f"needs pg_signal_backend ({GRANT})" in " ".join(drawn.split())
        for key in "CKA":
            await pilot.press(key)
            await until_drawn(pilot, "The server would refuse this for test_root")
            [toast] = app._notifications
            assert GRANT in toast.message
            assert len(app.screen_stack) == 1
            await pilot.press("escape")
        server.is_granted = True
        await pilot.press("r")
        await until(pilot, lambda: "K End" in screen_text(app).splitlines()[-1])
        await pilot.press("K")
        await until_drawn(pilot, "End the session of test_root (gw0, pid 1)?")
        assert "refuse" not in dialog_text(app)


async def test_the_question_is_about_the_one_that_may_be_ended() -> None:
    # The root is a superuser's, the waiter one's own.
    source, server = Feed(owned(locked(), {1: OWNER, 2: PLAIN}), leak_report()), Server()
    app = source.dashboard(act=Doing(), read_rights=server)
    async with app.run_test(notifications=True, size=(120, 30)) as pilot:
        await until(pilot, lambda: server.reads > 0 and "K End" not in screen_text(app).splitlines()[-1])
        await pilot.press("down", "K")
        await until_drawn(pilot, "End the session of test_2 (gw2, pid 2)?")
        assert "refuse" not in dialog_text(app)
        await pilot.press("b")
        await until_drawn(pilot, "test_2 (gw2, pid 2) waits for test_root (gw0, pid 1).")
        assert "The server will refuse this: it belongs to the superuser owner" in dialog_text(app)


async def test_of_several_the_question_says_which_will_be_refused() -> None:
    source, server = Feed(owned(locked(), {1: PLAIN}), leak_report()), Server()
    app = source.dashboard(act=Doing(), read_rights=server)
    async with app.run_test(notifications=True, size=(120, 30)) as pilot:
        await until(pilot, lambda: server.reads > 0)
        await pilot.press("space", "space", "K")
        await until_drawn(pilot, "End 2 sessions: pid 1 and 2?")
        said = dialog_text(app)
        assert f"The server will refuse 1 of these 2: needs pg_signal_backend ({GRANT})" in said
        assert said.count("will be refused") == 1


async def test_without_knowledge_of_rights_nothing_is_claimed() -> None:
    source = Feed(owned(locked(), {}), leak_report())
    app = source.dashboard(act=Doing())
    async with app.run_test(notifications=True, size=(120, 24)) as pilot:
        await until(pilot, lambda: "K End" in screen_text(app).splitlines()[-1])
        await pilot.press("K")
        await until_drawn(pilot, "End the session of test_root (gw0, pid 1)?")
        assert "refuse" not in dialog_text(app)


async def test_a_key_without_effect_isnt_offered() -> None:
    vacuum = replace(
        session(1, query="autovacuum: VACUUM t"), backend_type="autovacuum worker", application_name=""
    )
    shown = settle(None, snapshot((edge(2, 1, tag=TABLE, target="table t"),), (vacuum,)))
    source = Feed(shown, leak_report())
    app = source.dashboard(act=Doing())
    async with app.run_test(notifications=True, size=(120, 24)) as pilot:
        await until(pilot, lambda: "K End" in screen_text(app).splitlines()[-1])
        assert text_of(app, "#verdict").startswith("● autovacuum worker (pid 1) blocks 1 test")
        assert "A Do it" not in screen_text(app).splitlines()[-1]
        await pilot.press("A")
        assert [one.message for one in app._notifications] == [
            "Nothing to do about autovacuum worker (pid 1) now: its advice names no statement."
        ]
        source.locks = with_prepared()
        await pilot.press("escape", "r")
        await until(pilot, lambda: "C Cancel" not in screen_text(app).splitlines()[-1])
        assert "K End" in screen_text(app).splitlines()[-1]
        await pilot.press("C")
        assert [one.message for one in app._notifications] == [
            "A prepared transaction runs no statement: K rolls it back."
        ]


def test_a_process_that_tells_nothing_has_a_name() -> None:
    hidden = replace(session(7, hidden=True), backend_type="", application_name="")
    assert name_of(hidden) == "unnamed session"
    assert name_of(replace(hidden, user_oid=None)) == "process of the server"

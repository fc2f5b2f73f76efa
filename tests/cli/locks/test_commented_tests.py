"""Sessions whose statements name their tests in comments: any language's, without a name of the session."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.running import pgwatch
from tests.servers.sessions import Connect, Database, blocked


def test_a_comment_names_the_test_of_a_session_without_a_name(
    database: Database, connect: Connect, tmp_path: Path
) -> None:
    holder, waiter, named = connect("puma"), connect(), connect("rspec:2 spec/c_spec.rb drops")
    holder.execute("CREATE TABLE seats (id int)")
    holder.commit()
    comment = "/*application='Shop',test='spec%2Fa_spec.rb%20books'*/"
    holder.execute(f"LOCK TABLE seats {comment}".encode())
    blocked(waiter, "/*test='rspec%3A7%20spec%2Fb_spec.rb%20pays'*/ LOCK TABLE seats")
    blocked(named, "/*test='another'*/ LOCK TABLE seats")

    done = pgwatch(tmp_path, "locks", "--format", "json", "-d", database.dsn)
    document = json.loads(done.stdout)
    tests = {one["pid"]: one["test"] for one in document["sessions"]}
    assert tests == {
        holder.info.backend_pid: "spec/a_spec.rb books",
        waiter.info.backend_pid: "spec/b_spec.rb pays",
        named.info.backend_pid: "spec/c_spec.rb drops",
    }
    [root] = document["roots"]
    assert "spec/a_spec.rb books" in root["explanation"]

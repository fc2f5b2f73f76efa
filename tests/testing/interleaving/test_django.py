"""Django's ORM in actors: each thread has a connection of its own, which is closed at its end."""

from __future__ import annotations

import pytest

from tests.pytest_plugin.suites import ORDERED
from tests.servers.sessions import Connect, Database

pytest_plugins = ["pytester"]

SETTINGS = """
    import os
    from psycopg.conninfo import conninfo_to_dict

    place = conninfo_to_dict(os.environ["SUITE_DSN"])
    SECRET_KEY = "x"
    INSTALLED_APPS = ["shop"]
    USE_TZ = True
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql", "NAME": place["dbname"], "USER": place["user"],
            "HOST": place["host"], "PORT": place["port"],
        }
    }
"""
MODELS = """
    from django.db import models

    class Slot(models.Model):
        taken = models.IntegerField(default=0)
"""
SUITE = """
    import pytest
    from django.db import connection, transaction
    from django.db.models import F
    from pgwatch_tests.testing import interleave
    from shop.models import Slot

    @pytest.fixture(autouse=True, scope="module")
    def table(django_db_blocker):
        with django_db_blocker.unblock():
            with connection.schema_editor() as editor:
                editor.create_model(Slot)
            yield
            connection.close()

    def saved(id):
        slot = Slot.objects.get(pk=id)
        slot.taken += 1
        slot.save()

    def in_transaction(id):
        with transaction.atomic():
            saved(id)

    def locked(id):
        with transaction.atomic():
            slot = Slot.objects.select_for_update().get(pk=id)
            with transaction.atomic():
                slot.taken += 1
                slot.save()

    def updated(id):
        Slot.objects.filter(pk=id).update(taken=F("taken") + 1)

    @pytest.mark.parametrize(
        ("act", "steps", "is_bad"),
        [(saved, 2, True), (in_transaction, 3, True), (locked, 3, False), (updated, 1, False)],
    )
    def test_it(act, steps, is_bad):
        found = interleave(
            act, act,
            setup=lambda: Slot.objects.create().pk,
            invariant=lambda id, _: Slot.objects.get(pk=id).taken == 2,
        )
        assert found.complete, found
        assert bool(found.bad) is is_bad, found
        if is_bad:
            assert len(found.bad[0].steps) == 2 * steps, found
"""


CONFTEST = """
    import pytest

    @pytest.fixture(autouse=True)
    def allowed(django_db_blocker):
        with django_db_blocker.unblock():
            yield
"""


def test_transactions_locks_and_autocommit(
    pytester: pytest.Pytester, database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connect().info.server_version < 140000:
        pytest.skip("Django supports no server before 14")
    pytester.mkpydir("shop")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(settings=SETTINGS, test_it=SUITE, **{"shop/models": MODELS})
    monkeypatch.setenv("SUITE_DSN", database.dsn)
    done = pytester.runpytest_subprocess(
        *ORDERED, "-p", "django", "--ds=settings", "-W", "error", "-p", "no:asyncio"
    )
    done.assert_outcomes(passed=4)

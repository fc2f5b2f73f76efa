"""Django's connections carry the name of the test that uses them, with psycopg 3 and psycopg 2."""

from __future__ import annotations

import psycopg
import pytest

from pgwatch_tests.embedded.server import EmbeddedServer
from tests.servers.sessions import Database

pytest_plugins = ["pytester"]

SETTINGS = """
    from psycopg2.extensions import parse_dsn
    import os
    PLACE = parse_dsn(os.environ["SUITE_DSN"])
    SECRET_KEY = "x"
    USE_TZ = True
    INSTALLED_APPS = ["shop"]
    DATABASES = {"default": {"ENGINE": "shop.backend", "NAME": PLACE["dbname"],
                             "HOST": PLACE["host"], "PORT": PLACE["port"], "USER": PLACE["user"]}}
"""
SUITE = """
    import threading
    import pytest
    from django.db import connection, transaction
    from django.test import TestCase, TransactionTestCase
    from conftest import COMMITS
    from pgwatch_tests.identity.application_name import compose
    from pgwatch_tests.testing import current
    from shop.models import Order

    def name():
        with connection.cursor() as cursor:
            cursor.execute("SHOW application_name")
            return cursor.fetchone()[0]

    def own_name():
        return compose("pytest", "", current().name)

    def own_commits():
        return [(commit.xid is not None, commit.unknown) for commit in COMMITS if commit.owner is current()]

    class InATransaction(TestCase):
        def test_it(self):
            Order.objects.create(name="a")
            assert name() == own_name()
            assert own_commits() == []

        def test_again(self):
            assert Order.objects.count() == 0
            assert name() == own_name()

    class Committing(TransactionTestCase):
        def test_it(self):
            with transaction.atomic():
                Order.objects.create(name="a")
            assert name() == own_name()
            assert own_commits() == [(True, None)]

        def test_autocommit(self):
            Order.objects.create(name="b")
            assert name() == own_name()
            assert (False, "autocommit") in own_commits()

    @pytest.mark.django_db(transaction=True)
    def test_function():
        with transaction.atomic():
            Order.objects.create(name="a")
        assert name() == own_name()
        assert (True, None) in own_commits()

    def test_driver(request):
        assert connection.Database.__name__ == DRIVER
"""
BACKEND = {
    "psycopg": "from django.db.backends.postgresql.base import DatabaseWrapper",
    "psycopg2": """
        # Django takes psycopg 3 where it can be imported.
        import sys
        hidden = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "psycopg"}
        sys.modules.update(dict.fromkeys(["psycopg", *hidden]))
        from django.db.backends.postgresql import base
        del sys.modules["psycopg"]
        sys.modules.update(hidden)
        DatabaseWrapper = base.DatabaseWrapper
    """,
}


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_django(driver: str, pytester: pytest.Pytester, database: Database, server: EmbeddedServer) -> None:
    with psycopg.connect(server.dsn()) as connection:
        if connection.info.server_version < 140000:
            pytest.skip("Django 5 needs PostgreSQL 14")
    pytester.mkpydir("shop")
    pytester.makeconftest(
        """
        import pytest
        COMMITS = []

        @pytest.fixture(scope="session", autouse=True)
        def listen(pytestconfig):
            pytestconfig.pluginmanager.get_plugin("pgwatch-active").commits.listen(COMMITS.append)
        """
    )
    pytester.makepyfile(
        settings=SETTINGS,
        test_it=SUITE.replace("DRIVER", repr(driver)),
        **{
            "shop/models": """
                from django.db import models

                class Order(models.Model):
                    id = models.AutoField(primary_key=True)
                    name = models.TextField()
            """,
            "shop/backend/__init__": "",
            "shop/backend/base": BACKEND[driver],
        },
    )
    pytester._monkeypatch.setenv("SUITE_DSN", database.dsn)
    pytester._monkeypatch.setenv("PGWATCH_DSN", database.dsn)
    done = pytester.runpytest_subprocess(
        "-p", "django", "--ds=settings", "-p", "no:randomly", "--pgwatch=warn"
    )
    done.assert_outcomes(passed=6)
    done.stdout.no_fnmatch_line("* handed a session on with*")
    done.stdout.no_fnmatch_line("*left a transaction open*")

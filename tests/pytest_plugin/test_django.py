"""Django's tests, by pytest-django: what each leaves in the database that it makes, and nothing more."""

from __future__ import annotations

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from tests.pytest_plugin.suites import run_suite, told
from tests.servers.sessions import Database

pytest_plugins = ["pytester"]

SETTINGS = """
    import os
    from psycopg.conninfo import conninfo_to_dict

    of_suite = conninfo_to_dict(os.environ["SUITE_DSN"])
    SECRET_KEY = "x"
    INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "shop"]
    USE_TZ = True
    DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": of_suite["dbname"].removeprefix("test_"),
            "TEST": {"NAME": of_suite["dbname"] + "_django"},
            "USER": of_suite["user"],
            "HOST": of_suite["host"],
            "PORT": of_suite["port"],
        }
    }
"""
MODELS = """
    from django.db import models

    class Book(models.Model):
        title = models.CharField(max_length=50)
"""
SUITE = """
    import pytest
    from django.db import transaction
    from django.test import TestCase, TransactionTestCase
    from shop.models import Book

    class TestInATransaction(TestCase):
        @classmethod
        def setUpTestData(cls):
            Book.objects.create(title="for all")

        def test_first(self):
            Book.objects.create(title="a")
            assert Book.objects.count() == 2

        def test_second(self):
            assert Book.objects.count() == 1

    class TestEmptied(TransactionTestCase):
        def test_in_autocommit(self):
            Book.objects.create(title="b")
            with transaction.atomic():
                Book.objects.create(title="c")

    @pytest.mark.django_db(transaction=True)
    def test_marked_as_emptied():
        Book.objects.create(title="b")

    @pytest.mark.django_db
    def test_marked():
        Book.objects.create(title="d")

    def test_leaves(django_db_setup, django_db_blocker):
        with django_db_blocker.unblock(), transaction.atomic():
            Book.objects.create(title="e")
"""


def test_django(pytester: pytest.Pytester, database: Database, owner: Connection[TupleRow]) -> None:
    if owner.info.server_version < 140000:
        pytest.skip("Django supports no server before 14")
    pytester.makepyfile(settings=SETTINGS)
    pytester.mkpydir("shop").joinpath("models.py").write_text(
        "\n".join(MODELS.replace("    ", "", 1).split("\n    "))
    )
    environment = {"PYTHONPATH": str(pytester.path)}
    done = run_suite(
        pytester, database.dsn, SUITE, "-p", "django", "--ds=settings", conftest="", environment=environment
    )
    assert {test: found for test, found in told(done).items() if test != "not checked"} == {
        "test_leaves": ["left 1 row in public.shop_book (id=7)"]
    }
    done.assert_outcomes(passed=6, errors=1)

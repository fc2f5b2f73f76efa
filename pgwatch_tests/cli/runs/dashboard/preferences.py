"""Preferences for a dashboard: by flag and environment, of the project, and of the user's own file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pgwatch_tests.settings.dashboard import DashboardSetting, PreferencesFile

if TYPE_CHECKING:
    from pgwatch_tests.settings.load import Settings
    from pgwatch_tests.tui.keys.preferences import Preferences


def user_file() -> PreferencesFile:
    """The user's file of preferences, read: `dashboard.toml` in the directory for configurations."""
    import platformdirs

    return PreferencesFile(platformdirs.user_config_path("pgwatch-tests") / "dashboard.toml", os.environ)


def preferences(file: PreferencesFile, project: DashboardSetting, theme: str | None) -> Preferences:
    """What the dashboard begins with; `theme` is that of a flag or of the environment."""
    from pgwatch_tests.tui.keys.preferences import Preferences

    found = DashboardSetting(theme or "").before(project).before(file.setting)
    return Preferences(
        *(found.theme, found.keymap, found.order, found.columns, file.trouble, file.keep, found.group),
        turned=found.turned,
    )


def refresh_s(file: PreferencesFile, settings: Settings) -> float:
    """How often to poll, in seconds: as it is set, as the project or the user prefers, or the default."""
    preferred = settings.dashboard.before(file.setting).refresh_s
    return settings.refresh_s if preferred is None else preferred

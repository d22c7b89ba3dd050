"""Settings of a node: scanpost.toml, overridden by the environment, overridden by flags.

Programs call `load_settings` once at their edge and pass the frozen tree on. It must not know actors or pages.
"""

from protocol.settings.home import default_home, socket_path
from protocol.settings.load import FILE_NAME, flatten, load_settings
from protocol.settings.model import Settings

__all__ = ["FILE_NAME", "Settings", "default_home", "flatten", "load_settings", "socket_path"]

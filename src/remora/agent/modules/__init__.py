"""What this process has imported, imports, reloads and drops."""

from remora.agent.modules.loaded import LoadedModule, ModuleState, is_module
from remora.agent.modules.names import is_our_own
from remora.agent.modules.store import ModuleStore

__all__ = ["LoadedModule", "ModuleState", "ModuleStore", "is_module", "is_our_own"]

"""The part of remora that lives inside an app. It uses the standard library only."""

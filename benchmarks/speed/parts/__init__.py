"""What is measured, a module a part: each has ``measure(settings)``, which gives its rows one by one."""

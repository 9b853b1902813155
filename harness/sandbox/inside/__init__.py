"""The code that runs inside the sandbox. The whole folder is mounted there, so it uses the standard library only.

`harness.sandbox` draws which process runs which module.
"""

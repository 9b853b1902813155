"""The commands as Python functions, for notebooks and other programs; `harness` itself offers them:

    import harness

    results = harness.evaluate(model="runs/sft", tasks=["reasoning_mini"], output_path="runs/eval")
    results.frame()                                        # pandas
    harness.compare("runs/base", "runs/sft").plot()        # Altair

A function does what its command does, by the same code and with the same argument names: `arguments` turns Python
values into the command's words and lets the command's own parser read them. What a command prints as an error is
raised; what it prints as a result is returned as an object. Nothing is printed but a progress bar on a terminal.
"""

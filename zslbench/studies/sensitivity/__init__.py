"""How much do the accuracies depend on each hyper-parameter?"""

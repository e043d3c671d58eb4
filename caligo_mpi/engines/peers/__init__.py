"""Other simulators as engines, and programs as users write them: to check ours, and to know what each costs.

Each is a module of its own, imported only when it is used.  The circuit and its noise are in the
simulator's own terms; what the noise engine folds into one probability is simulated step by step.
"""

_base_ = ['_phases.py']
draw = 'spread'

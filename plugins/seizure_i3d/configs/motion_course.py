# Control: how much changes from frame to frame in each third of a clip, in their order, and logistic regression.
_base_ = ['motion_energy.py']

data = dict(pipeline=['config://read', dict(type='seizure_i3d.Measure', measure='course')])

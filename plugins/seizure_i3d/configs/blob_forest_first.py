# Control: the same moments of the first frame alone, before anything has moved. What it gets right, the scene tells.
_base_ = ['blob_forest.py']

data = dict(pipeline=['config://read', dict(type='seizure_i3d.Measure', measure='first_blob')])

# Baseline after Achilles et al. and Maia et al.: the middle frame alone, the paper's FC layers and training.
_base_ = ['i3d_lstm_fc.py']

data = dict(
    extractor=dict(
        _delete_=True, type='seizure_i3d.FrameFeatures', weights='weights://i3d_rgb_kinetics400',
        inference='config://inference', views='config://views'))

model = dict(
    _delete_=True,
    type='seizure_i3d.SingleFrameFc',
    num_classes='dataset',
    class_weights='balanced',
    loss='mse',
    fc_units=(64, 32),
    dropout=0.5)

# FANet as the paper describes it (section 2.1, Figure 2) and feinanshan/FANet builds it.
_base_ = ['_training.py']

pretrained = 'weights://resnet18_imagenet'   # of the encoder; None for random ones
model = dict(
    type='driving_fanet.FanetSegmentor',
    depth=18,
    num_classes='dataset',
    tca_depth='config://tca_depth',
    context='sum',           # how past frames are weighed: sum (the paper), decayed, learned or aligned
    norm='batch',            # "none" is what the paper's code really ran
    aux_weight='config://aux_weight',
    class_weights='config://class_weights',
    loss_at='config://loss_at',
    pretrained='config://pretrained',
    data_preprocessor=dict(
        type='mmseg.SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],   # ImageNet's, as the encoder's weights expect
        std=[58.395, 57.12, 57.375],
        size_divisor=1))

"""Small networks of transformers, as `architecture` of proposals, and as folders."""

SWIN = dict(
    model_type='swin',
    embed_dim=16,
    depths=[1, 1, 1, 1],
    num_heads=[1, 1, 1, 1],
    window_size=4,
    out_features=['stage1', 'stage2', 'stage3', 'stage4'],
)
EOMT = dict(
    model_type='eomt',
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_blocks=1,
    num_queries=5,
    num_register_tokens=1,
    image_size=64,
)
MASK2FORMER = dict(
    model_type='mask2former',
    feature_size=32,
    mask_feature_size=32,
    hidden_dim=32,
    encoder_feedforward_dim=32,
    encoder_layers=1,
    decoder_layers=2,
    num_attention_heads=2,
    dim_feedforward=32,
    num_queries=5,
)
MASKFORMER = dict(
    model_type='maskformer',
    fpn_feature_size=32,
    mask_feature_size=32,
    decoder_config=dict(
        model_type='detr',
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        num_queries=5,
    ),
)
ONEFORMER = dict(
    model_type='oneformer',
    conv_dim=32,
    mask_dim=32,
    hidden_dim=32,
    encoder_layers=1,
    decoder_layers=2,
    num_queries=5,
)
_PROMPTS = dict(hidden_size=32, image_size=64, patch_size=16, mask_input_channels=4)
_MASKS = dict(
    hidden_size=32,
    mlp_dim=32,
    num_attention_heads=2,
    num_hidden_layers=2,
    iou_head_hidden_dim=16,
)
SAM = dict(
    model_type='sam',
    vision_config=dict(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=64,
        patch_size=16,
        output_channels=32,
        mlp_dim=32,
        global_attn_indexes=[0],
        num_pos_feats=16,
        window_size=2,
    ),
    prompt_encoder_config=dict(_PROMPTS, image_embedding_size=4),
    mask_decoder_config=_MASKS,
)
SAM2 = dict(
    model_type='sam2',
    vision_config=dict(
        backbone_config=dict(
            model_type='sam2_hiera_det_model',
            hidden_size=16,
            num_attention_heads=1,
            image_size=[64, 64],
            blocks_per_stage=[1, 1, 2, 1],
            embed_dim_per_stage=[16, 32, 64, 128],
            num_attention_heads_per_stage=[1, 1, 1, 1],
            global_attention_blocks=[3],
        ),
        backbone_channel_list=[128, 64, 32, 16],
        fpn_hidden_size=32,
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
    ),
    prompt_encoder_config=_PROMPTS,
    mask_decoder_config=_MASKS,
)
_ALL = (EOMT, MASK2FORMER, MASKFORMER, ONEFORMER, SAM, SAM2)
SMALL = {config['model_type']: config for config in _ALL}


def shrink_network(proposals):
    """Make the network of proposals of transformers small, in place."""
    before = proposals.architecture
    proposals.architecture = dict(SMALL[before.model_type])
    if 'num_labels' in before:
        proposals.architecture['num_labels'] = before.num_labels
    if 'backbone_architecture' in proposals:
        proposals.backbone_architecture = SWIN
    if proposals.type == 'SamProposals':
        proposals.update(points_per_side=2, pred_iou_thr=-1, stability_thr=-1)


def save_network(folder, kind='eomt', names=('cat', 'dog', 'sky'), **changes):
    """Write a small network with random weights as transformers does; return it."""
    import transformers

    config = dict(SMALL[kind], **changes)
    if kind in ('mask2former', 'maskformer', 'oneformer'):
        config['backbone_config'] = SWIN
    if names is not None:
        config['id2label'] = dict(enumerate(names))
    config = transformers.AutoConfig.for_model(**config)
    name = 'MaskGeneration' if kind.startswith('sam') else 'UniversalSegmentation'
    network = getattr(transformers, f'AutoModelFor{name}').from_config(config).eval()
    if kind == 'eomt':
        network.attn_mask_probs.zero_()
    network.save_pretrained(folder)
    return network

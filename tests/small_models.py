"""Model configs made small, for tests that build many of them."""

from small_networks import shrink_network

TINY = {'CLIPConvBackbone': 'tiny-convnext', 'CLIPViTBackbone': 'tiny-vit'}
TINY['DenseCLIPViT'] = 'tiny-vit'
TINY['TimmViTBackbone'] = 'test_vit'
WIDTH = 64  # of the shared space of the tiny CLIPs


def with_tiny_clips(model):
    """Swap every CLIP for a tiny one without weights, at any depth."""
    for part in model.values():
        if isinstance(part, dict):
            if 'pretrained' in part:
                part['pretrained'] = None
            if 'model_name' in part:
                part['model_name'] = TINY.get(part['type'], 'tiny-convnext')
            with_tiny_clips(part)
    return model


def made_small(model):
    """Shrink a model for a test; what is compared with a CLIP's size follows it."""
    model = with_tiny_clips(model)
    for part in (model, *model.values()):
        if isinstance(part, dict):
            if 'num_queries' in part:
                part.num_queries = 5
            if 'num_points' in part:
                part.num_points = 64
            if part.get('embed_channels') is not None:
                part.embed_channels = WIDTH
            if 'visual_prompt' in part:
                part.visual_prompt.blocks = [1]
    decoder = model.get('decoder', {})
    if 'num_queries' in decoder.get('head', {}):
        decoder.head.num_queries = decoder.num_queries
    proposals = model.get('proposals', {})
    if 'architecture' in proposals:
        shrink_network(proposals)
    if 'backbone' in proposals:
        proposals.backbone.update(depth=18, stem_channels=16, base_channels=16)
        proposals.backbone.pop('multi_grid', None)
    return model

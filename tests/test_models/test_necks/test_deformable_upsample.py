import pytest
import torch
import torch.nn.functional as F

from mmovseg.models.necks.vas_neck import DeformableUpsample


def make(seed):
    layer = DeformableUpsample(3, 2).eval()
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.offset.weight, std=0.3)
    return layer


def bilinear(image, y, x):
    """Sample [C, H, W] at one point, zero outside."""
    height, width = image.shape[-2:]
    total = torch.zeros(image.shape[0])
    for i in (int(y // 1), int(y // 1) + 1):
        for j in (int(x // 1), int(x // 1) + 1):
            if 0 <= i < height and 0 <= j < width:
                total += image[:, i, j] * (1 - abs(y - i)) * (1 - abs(x - j))
    return total


@torch.no_grad()
def test_equals_a_loop_over_positions_and_kernel_points(seed):
    layer = make(seed)
    x = torch.randn(1, 3, 4, 5)
    raw = layer.offset(x)[0]
    expected = torch.zeros(1, 2, 4, 5)
    for i in range(4):
        for j in range(5):
            for k in range(9):
                dy, dx = raw[2 * k, i, j].item(), raw[2 * k + 1, i, j].item()
                value = bilinear(x[0], i + k // 3 - 1 + dy, j + k % 3 - 1 + dx)
                value = value * raw[18 + k, i, j].sigmoid()
                expected[0, :, i, j] += layer.weight[:, :, k // 3, k % 3] @ value
    expected = layer.norm1(expected).relu()
    expected = F.conv_transpose2d(expected, layer.upsample.weight, stride=2, padding=1)
    expected = layer.norm2(expected).relu()
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_channels_last_input_gives_the_same_numbers(seed):
    layer = make(seed)
    x = torch.randn(2, 3, 6, 6)
    last = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(layer(last), layer(x))
    layer = layer.to(memory_format=torch.channels_last)
    torch.testing.assert_close(layer(last), layer(x))


@torch.no_grad()
@pytest.mark.parametrize('std', [0.3, 30.0])  # 30: most samples are outside
def test_inference_gives_what_training_trains(std, seed):
    layer = make(seed)
    torch.nn.init.normal_(layer.offset.weight, std=std)
    for norm in (layer.norm1, layer.norm2):
        torch.nn.init.normal_(norm.running_mean)
        torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    x = torch.randn(2, 3, 5, 6)
    with torch.enable_grad():
        expected = layer(x).detach()
    assert expected.any()
    torch.testing.assert_close(layer(x), expected)


@torch.no_grad()
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_close(dtype, seed):
    layer, x = make(seed), torch.randn(2, 3, 6, 6)
    expected = layer(x)
    with torch.autocast('cpu', dtype):
        close = layer(x).float()
    torch.testing.assert_close(close, expected, rtol=0.1, atol=0.5)
    assert layer.to(dtype)(x.to(dtype)).dtype == dtype

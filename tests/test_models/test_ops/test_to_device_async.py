import pytest
import torch

from mmovseg.models.ops import to_device_async


def test_numbers_of_the_host_get_their_type_and_device():
    numbers = to_device_async([3, 1], 'cpu', torch.int64)
    assert numbers.tolist() == [3, 1] and numbers.dtype == torch.int64
    empty = to_device_async([], torch.device('cpu'), torch.float32)
    assert empty.dtype == torch.float32
    assert to_device_async(numbers, 'meta').device.type == 'meta'


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_numbers_of_the_host_do_not_wait_for_a_gpu():
    torch.cuda.set_sync_debug_mode('error')
    try:
        numbers = to_device_async([3, 1], 'cuda', torch.int64)
    finally:
        torch.cuda.set_sync_debug_mode('default')
    assert numbers.tolist() == [3, 1]

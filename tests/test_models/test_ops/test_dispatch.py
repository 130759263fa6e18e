import contextvars
import re
import threading
from pathlib import Path

import torch

from mmovseg.models import ops
from mmovseg.models.ops.dispatch import autocast_dtype, takes_fast

X = torch.zeros(1)


def test_plain_is_left_where_it_was_entered():
    assert takes_fast(X)
    with ops.plain():
        assert not takes_fast(X)
        with ops.plain(False):
            assert not takes_fast(X)
        with ops.plain():
            pass
        assert not takes_fast(X)
    with ops.plain(False):
        assert takes_fast(X)
    assert takes_fast(X)


def test_an_error_leaves_plain():
    try:
        with ops.plain():
            raise KeyError
    except KeyError:
        assert takes_fast(X)


def test_no_other_thread_is_changed():
    seen = []
    ready, done = threading.Event(), threading.Event()

    def other():
        ready.wait(10)
        seen.append(takes_fast(X))
        with ops.plain():
            done.set()
            seen.append(takes_fast(X))

    def started_inside():
        seen.append(takes_fast(X))

    thread = threading.Thread(target=other)
    thread.start()
    with ops.plain():
        ready.set()
        done.wait(10)
        inner = threading.Thread(target=started_inside)
        inner.start()
        inner.join()
        assert not takes_fast(X)
    thread.join()
    assert seen == [True, False, True]


def test_a_copied_context_takes_plain_along():
    with ops.plain():
        context = contextvars.copy_context()
    assert takes_fast(X) and not context.run(takes_fast, X)


def test_the_rule(in_graph, monkeypatch):
    x, norm = torch.zeros(1), torch.nn.BatchNorm2d(1)
    # A graph is what it is, whatever surrounds the call that traces it.
    with ops.plain():
        assert takes_fast(x, in_graphs=True) and not takes_fast(x)
    monkeypatch.undo()
    assert takes_fast(x, on='cpu') and not takes_fast(x, on='cuda')
    assert takes_fast(torch.device('cuda'), on='cuda')
    assert not takes_fast(x, with_gradients=False)
    with torch.no_grad():
        assert takes_fast(x, with_gradients=False)
        assert not takes_fast(x, norm=norm)
        assert takes_fast(x, norm=norm.eval())


def test_the_type_of_products_under_autocast():
    device = torch.device('cpu')
    assert autocast_dtype(device) is None
    with torch.autocast('cpu', torch.float16):
        assert autocast_dtype(device) is torch.float16


def test_a_compiled_function_asks_at_its_trace_alone():
    @torch.compile(fullgraph=True, backend='eager')
    def compiled(x):
        return x + 1 if takes_fast(x, in_graphs=True) else x

    with ops.plain():
        assert compiled(torch.zeros(1)) == 1


# What asks for a device, a graph, gradients or autocast.
SWITCH = re.compile(
    r'is_compiling|is_cuda|device\.type|is_grad_enabled|is_autocast|get_autocast'
    r'|is_in_onnx_export|is_tracing|is_scripting|fastpath'
)
ALLOWED = {
    'ops/dispatch.py': 'the one place',
    'ops/precision.py': 'torch.autocast is told the kind of device',
    'text/text_classifier.py': 'embeddings that train are not cached',
}


def test_nobody_else_asks_for_device_graph_or_inference():
    folder = Path(ops.__file__).parents[1]
    asking = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob('*.py')
        if SWITCH.search(path.read_text())
    }
    assert asking == set(ALLOWED)

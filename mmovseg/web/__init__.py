"""A page for people and a REST interface for scripts (``mmovseg serve``).

The client needs nothing but this package and the standard library; arrays need numpy
and Pillow. The server, :func:`mmovseg.web.app.make_app`, needs the extra ``web``.
"""

from .client import Answer, AnswerSegment, Client, ServiceError
from .limits import Limits

__all__ = ['Answer', 'AnswerSegment', 'Client', 'Limits', 'ServiceError']

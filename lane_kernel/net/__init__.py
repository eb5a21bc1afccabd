"""Sockets in the notebook's loop, and the one place that knows Tornado's private corners.

`home` says on which loop and thread things run, and marshals to it; `stream` records what crosses a socket; `heads`
reads HTTP heads with a bound; `transport` carries frames once a connection is upgraded; `listener` accepts.
"""

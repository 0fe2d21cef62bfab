"""Operators called by several threads at once, and after a fork."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from jetbench.torch import collapse, linear_operator
from jetbench.torch.threads import alone
from torch_cases import LAPLACIAN, METHODS, close, network


@pytest.mark.parametrize("method", METHODS)
def test_an_operator_that_several_threads_call(method):
    points = [torch.rand(rows, 2, dtype=torch.float64) for rows in range(1, 7)]
    net = network()
    expected = [linear_operator(net, LAPLACIAN, method)(x).detach() for x in points]
    shared, begin = linear_operator(net, LAPLACIAN, method), threading.Barrier(len(points))

    def call(x):
        begin.wait()
        return [shared(x).detach() for _ in range(3)]

    with ThreadPoolExecutor(len(points)) as pool:
        for values, value in zip(pool.map(call, points), expected, strict=True):
            for found in values:
                close(found, value)


def test_a_collapsed_function_that_several_threads_call():
    points, begin = [torch.rand(rows, dtype=torch.float64) for rows in range(1, 7)], threading.Barrier(6)
    collapsed = collapse(lambda x: torch.func.jacfwd(torch.func.jacfwd(lambda y: (y**4).sum()))(x).trace())

    def call(x):
        begin.wait()
        return collapsed(x)

    with ThreadPoolExecutor(len(points)) as pool:
        for x, found in zip(points, pool.map(call, points), strict=True):
            close(found, 12 * (x**2).sum())


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork")
def test_a_process_forked_while_a_thread_evaluates():
    holds, ends = threading.Event(), threading.Event()

    def hold():
        with alone():
            holds.set()
            ends.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    holds.wait()
    try:
        child = multiprocessing.get_context("fork").Process(target=_enter)
        child.start()
        child.join(60)
        ended = child.exitcode
        child.kill()
    finally:
        ends.set()
        thread.join()
    assert ended == 0


def _enter():
    with alone():
        pass

"""Estimators."""

from __future__ import annotations

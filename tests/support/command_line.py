"""Settings as they are typed."""

import tyro
from tyro.conf import OmitArgPrefixes

from rnnaudio.cli.arguments import REGISTRY
from rnnaudio.cli.entry import settings_in


def typed(words):
    """The settings of `rnnaudio train WORDS`, of which only those that are options of the recipe are typed here."""
    start = settings_in(["train", *words])

    def train(config: OmitArgPrefixes[type(start.config)] = start.config):
        return config

    return tyro.cli(train, args=words, registry=REGISTRY)

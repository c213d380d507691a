"""What questions can get wrong, apart from what `encoder.errors` and `indexer.errors` hold."""


class QueryError(ValueError):
    """A question that makes no sense: empty, with a weight that is none, or its terms cancel."""

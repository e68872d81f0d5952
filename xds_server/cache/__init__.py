"""Discovery resources as bytes with a hash, the sets they form, and the cache that streams watch."""

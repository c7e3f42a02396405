"""Talk to an endpoint: requests go out, bytes come in, and a typed reply or a typed error comes of it."""

"""Plans become XML, JSON or lists of scalars. Encoders are generated per shape of request and kept."""

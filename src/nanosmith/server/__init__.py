"""The OpenAI API over local models: a Starlette app, one folder per resource."""

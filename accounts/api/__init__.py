"""The management API's part about people: who is asking, what they may, and the keys they ask with."""

"""The ICE agent on asyncio."""

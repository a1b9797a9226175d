"""Watson OpenScale: posting payload records to the service, each confirmed exactly once or reported.

``service``   the REST API, one call at a time: post, request state, which records it has
``records``   payload rows → the records that are posted, cut into chunks
``delivery``  a batch's chunks through the service, with a row each in the data mart
Source of what is sent: contract sections 1.5 and 2.2, and the recorded requests of IBM's SDKs.
"""

/** What sender and program agree on: the first 4 bytes of what is in a packet say of which tenant it is, big end first. */
export const PORT = 4791
export const TENANTS = 64

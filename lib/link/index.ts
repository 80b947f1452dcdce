/** Programs at their hooks. */
export { Attachment, type UpdateOptions } from './attachment'
export type { LinkInfo } from './info'
export { Link, links } from './link'
export type { AttachTypeLabel, LinkType } from './names'
export type { ProgramLike } from './program'

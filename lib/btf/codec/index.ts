export { type BtfValue, type CodecOfOptions, codecOf } from './codec-of'

export const readLive = (document) => document;

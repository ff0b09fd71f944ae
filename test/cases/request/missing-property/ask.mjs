export default fields => `Mood of: ${fields.reveiw}`
